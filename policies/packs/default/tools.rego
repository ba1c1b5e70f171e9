# METADATA
# title: Tools
# description: Tools that act at the backend, tools that act at the client, members we do not know.
# scope: package
package packs.default.tools

# METADATA
# title: Hosted tools
# description: They act at the backend, past every hold, so each has to be allowed by name.
deny contains {
	"code": "hosted_tool",
	"msg": sprintf(
		concat(" ", [
			"The request uses %s, which acts at the backend where nobody here can see or stop it.",
			"Remove it from the request.",
		]),
		[concat(", ", sort(forbidden))],
	),
} if {
	forbidden := {name |
		some name in input.request.hosted
		not name in permitted
	}
	count(forbidden) > 0
}

# METADATA
# title: Permitted hosted tools
# description: Names from data.yaml; none if the list is not there.
default permitted := []

permitted := data.hosted_tools.allowed

# METADATA
# title: Function tools
# description: Tools that run at the client are allowed unless listed.
deny contains {
	"code": "tool_not_allowed",
	"msg": sprintf("The tool %s is not allowed here. Remove it from the request.", [name]),
} if {
	some name in input.request.tools
	some pattern in data.function_tools.denied
	glob.match(pattern, null, name)
}

# METADATA
# title: Unknown members
# description: Members of the body outside the API we know, unless data.yaml allows them.
deny contains {
	"code": "unknown_field",
	"msg": sprintf("The member %s is not known here. Remove it from the request.", [name]),
} if {
	some name in input.request.unknown_fields
	not expected(name)
}

expected(name) if {
	some pattern in data.unknown_fields.allowed
	glob.match(pattern, null, name)
}
