# METADATA
# title: Principal
# description: Who may ask at all.
# scope: package
package packs.default.principal

# METADATA
# title: Unknown principal
# description: None of the principal's groups is in data.yaml.
deny contains {
	"code": "principal_unknown",
	"msg": "None of your groups may use models here. Ask an operator to add you to a group.",
} if {
	not known
}

# METADATA
# title: Blocked principal
# description: data.yaml blocks this principal.
deny contains {
	"code": "principal_blocked",
	"msg": "Your access is blocked. Ask an operator why.",
} if {
	data.principals[input.principal.id].blocked == true
}

# METADATA
# title: Halted
# description: The kill switch is on.
deny contains {
	"code": "halted",
	"msg": "Requests are halted for now. Ask an operator when they resume.",
} if {
	not input.context.halt == false
}

# METADATA
# title: Known
# description: At least one group that data.yaml knows.
known if {
	some group in input.principal.groups
	data.groups[group]
}
