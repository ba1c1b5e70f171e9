# METADATA
# title: What OPA's decision log leaves out
# description: |
#   The facts have no prompt, but they say who asked, from where, and how tools were to be called. The
#   ledger has them, sealed; a log on standard output must not.
# scope: package
package system.log

# METADATA
# title: Mask
# description: JSON pointers into the entry of the log; OPA removes what they name.
mask contains "/input/principal/id"

mask contains "/input/principal/groups"

mask contains "/input/context/ip"

mask contains "/input/context/spend"

mask contains "/input/context/limits"

mask contains "/input/tool/arguments" if input.input.tool.arguments

mask contains "/input/approval/by"
