# METADATA
# title: Who may ask what of this OPA
# description: |
#   Read by OPA with --authorization=basic before every request. One question is allowed, to holders of
#   the token if the server has one, besides health and metrics. Everything else is denied: uploads,
#   listings, ad-hoc queries, other documents.
# scope: package
package system.authz

# METADATA
# title: Allow
# description: Denied unless a rule below says otherwise.
# entrypoint: true
default allow := false

allow if {
	input.method == "POST"
	input.path == ["v1", "data", "sekisho", "decision"]
	known
}

allow if {
	input.method == "GET"
	input.path == ["health"]
}

allow if {
	input.method == "GET"
	input.path == ["metrics"]
}

# METADATA
# title: Known
# description: |
#   Without a token in the environment of the server whoever reaches it may ask: for a server on
#   loopback only. OPA puts the bearer token into input.identity with --authentication=token.
known if not token

known if {
	token != ""
	input.identity == token
}

token := opa.runtime().env.SEKISHO_OPA_TOKEN
