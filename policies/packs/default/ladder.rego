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
# title: Tool calls need a person
# description: |
#   On steps 1 and 2 a tool call waits for a person. The gateway cannot hold one yet, so a request
#   that offers tools is refused: nothing weaker would be these steps.
deny contains text.reason("tool_calls_not_held", [step], {
	"en": "Your team is on step %d of the ladder, where a person sees each tool call first. That cannot be done here yet: leave the tools out.",
	"zh": "您的团队处于第 %d 级，每次工具调用须先由人查看。目前尚无法做到：请去掉工具。",
	"ja": "あなたのチームは段階 %d で、ツール呼び出しは毎回人が先に確認します。まだ対応していないため、ツールを外してください。",
}) if {
	step in {1, 2}
	count(input.request.tools) > 0
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
