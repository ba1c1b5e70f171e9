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
# title: Tool not offered
# description: A model may name any function; only one that the request offers has a client for it.
deny contains text.reason("tool_not_offered", [input.tool.name], {
	"en": "The model calls the tool %s, which the request does not offer, so the call is withheld. Ask again, or ask another model.",
	"zh": "模型调用了请求中未提供的工具 %s，该调用已被拦截。请重新提问，或换用其他模型。",
	"ja": "モデルが依頼にないツール %s を呼び出したため、この呼び出しは止められました。もう一度依頼するか、別のモデルを使ってください。",
}) if {
	input.stage == "tool_call"
	not input.tool.name in input.request.tools
}

# METADATA
# title: Tool call too long
# description: |
#   Arguments of more than 16 KB are not passed on, so no rule can look at them: a person does. Only an
#   answer that is read whole can wait for one; in a stream such a call is withheld.
hold contains object.union(
	text.reason("tool_call_long", [input.tool.name], {
		"en": "The call of the tool %s is too long for rules to look into, so a reviewer looks at it first.",
		"zh": "对工具 %s 的调用过长，规则无法检查，须先由审核人查看。",
		"ja": "ツール %s の呼び出しが長すぎて規則では検査できないため、先に審査者が確認します。",
	}),
	{"stage": "tool_call"},
) if {
	input.stage == "tool_call"
	not input.tool.whole == true
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
