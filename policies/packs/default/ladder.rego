# METADATA
# title: Ladder
# description: |
#   How far a team is trusted to let a model act, per group, principal, backend or assistant: 0 answers
#   without tools, 1 answers and tool calls as drafts, 2 each tool call approved, 3 tools of a list.
#   The lowest step that applies counts; where none applies, tools are as data.function_tools says.
# scope: package
package packs.default.ladder

import data.lib.text

# METADATA
# title: Without tools
# description: On step 0 the client's tools are taken out of the request.
obligation contains {"allow_tools": []} if {
	step == 0
	count(input.request.tools) > 0
}

# METADATA
# title: Drafts are labelled
# description: On step 1 every answer says that a machine wrote it and nobody has accepted it.
obligation contains {"label_output": true} if step == 1

# METADATA
# title: Drafts want a word
# description: On step 1 whoever asked says what became of answers, as many as the row lets open.
obligation contains {"drafts_max": row.drafts_max} if {
	step == 1
	some row in rows
}

# METADATA
# title: Tool calls wait for a person
# description: |
#   On step 2 people approve each tool call. On step 1 it is a draft, which nobody takes over before a
#   person has seen it either. Said already about the request, so that its answer is read whole.
hold contains object.union(
	text.reason("tool_call_held", [step], {
		"en": "Your team is on step %d of the ladder, so a person looks at each tool call first.",
		"zh": "您的团队处于第 %d 级，每次工具调用须先由人查看。",
		"ja": "あなたのチームは段階 %d のため、ツール呼び出しは毎回、先に人が確認します。",
	}),
	{"stage": "tool_call"},
) if {
	step in {1, 2}
	count(input.request.tools) > 0
}

# METADATA
# title: No tool calls
# description: On step 0 a model calls nothing, whatever it was offered.
deny contains text.reason("tool_calls_off", [input.tool.name], {
	"en": "The model calls the tool %s, and your team uses models without tools. Ask an operator.",
	"zh": "模型调用了工具 %s，而您的团队不使用工具。请询问管理员。",
	"ja": "モデルがツール %s を呼び出しましたが、あなたのチームはツールなしで利用します。管理者に問い合わせてください。",
}) if {
	input.stage == "tool_call"
	step == 0
}

# METADATA
# title: Tool not on the list
# description: On step 3 a model may name a tool that was taken out of the request, or never was in it.
deny contains text.reason("tool_not_on_list", [input.tool.name], {
	"en": "The model calls the tool %s, which is not on the list of your team. Ask an operator.",
	"zh": "模型调用的工具 %s 不在您团队的清单上。请询问管理员。",
	"ja": "モデルが呼び出したツール %s はあなたのチームの一覧にありません。管理者に問い合わせてください。",
}) if {
	input.stage == "tool_call"
	step == 3
	not listed(input.tool.name)
}

# METADATA
# title: Tools of the list
# description: On step 3 only what the row lists stays in the request.
obligation contains {"allow_tools": [name | some name in input.request.tools; listed(name)]} if {
	step == 3
	count(input.request.tools) > 0
}

# METADATA
# title: Step
# description: The lowest of all rows that apply; undefined where none does.
step := min({row.step | some row in rows}) if count(rows) > 0

# METADATA
# title: Rows
# description: Those of data.ladder that are about this request, and the assistant's own step.
rows contains row if {
	some row in data.ladder
	[dimension, pattern] := split(row.for, ":")
	some name in names[dimension]
	is_string(name)
	glob.match(pattern, null, name)
}

rows contains {"step": data.assistants[input.request.assistant].step}

names := {
	"group": input.principal.groups,
	"principal": [input.principal.id],
	"backend": [input.request.backend],
	"assistant": [input.request.assistant],
}

# METADATA
# title: Listed
# description: By every row of step 3 that applies.
listed(name) if {
	every row in rows {
		some pattern in object.get(row, "tools", [])
		glob.match(pattern, null, name)
	}
}
