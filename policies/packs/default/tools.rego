# METADATA
# title: Tools
# description: Tools that act at the backend, tools that act at the client, members we do not know.
# scope: package
package packs.default.tools

import data.lib.text

# METADATA
# title: Hosted tools
# description: They act at the backend, past every hold, so each has to be allowed by name.
deny contains text.reason("hosted_tool", [concat(", ", sort(forbidden))], {
	"en": "The request uses %s, which acts at the backend where nobody here can see or stop it. Remove it from the request.",
	"zh": "请求使用了 %s，它在后端执行，这里无人能看到或阻止。请从请求中删除。",
	"ja": "依頼が使う %s はバックエンド側で動き、ここでは誰も確認も停止もできません。依頼から外してください。",
}) if {
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
deny contains text.reason("tool_not_allowed", [name], {
	"en": "The tool %s is not allowed here. Remove it from the request.",
	"zh": "这里不允许使用工具 %s。请从请求中删除。",
	"ja": "ツール %s はここでは使えません。依頼から外してください。",
}) if {
	some name in input.request.tools
	some pattern in data.function_tools.denied
	glob.match(pattern, null, name)
}

# METADATA
# title: Unknown members
# description: Members of the body outside the API we know, unless data.yaml allows them.
deny contains text.reason("unknown_field", [name], {
	"en": "The member %s is not known here. Remove it from the request.",
	"zh": "这里不认识成员 %s。请从请求中删除。",
	"ja": "項目 %s はここでは知られていません。依頼から外してください。",
}) if {
	some name in input.request.unknown_fields
	not expected(name)
}

expected(name) if {
	some pattern in data.unknown_fields.allowed
	glob.match(pattern, null, name)
}
