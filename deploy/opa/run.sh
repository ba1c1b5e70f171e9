#!/bin/sh
# Runs OPA as the gateway expects it. Wants SEKISHO_BUNDLES_URL, SEKISHO_BUNDLES_TOKEN and
# SEKISHO_OPA_STATE (a directory) in the environment, and SEKISHO_OPA_TOKEN unless it is on loopback;
# OPA names the binary (default: opa), ADDRESS where it listens.
#
# For another address than loopback add --tls-cert-file and --tls-private-key-file: the gateway asks
# over https there.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
exec "${OPA:-opa}" run --server \
    --addr "${ADDRESS:-127.0.0.1:8181}" \
    --authentication=token --authorization=basic \
    --disable-telemetry \
    --config-file "$here/opa.yaml" \
    "$here/authz.rego" "$here/mask.rego" "$@"
