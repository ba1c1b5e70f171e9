# METADATA
# title: Finance, supervision
# description: What a principal of the firm answers for (FINRA rule 3110, notice 24-09).
# scope: package
package packs.finance.supervision

import data.lib.text

rules := data.sectors.finance

# METADATA
# title: Words to clients
# description: Advice and offers to clients are looked at by a supervisor before a model works on them.
hold contains object.union(
	text.reason("client_communication", [label], {
		"en": "The text is labelled %s, so a supervisor looks at it first.",
		"zh": "文本带有标签 %s，须先由主管查看。",
		"ja": "本文にラベル %s が付いているため、先に監督者が確認します。",
	}),
	{"reviewers": rules.supervisors, "risk": 70},
) if {
	some label in input.content.labels
	label in rules.client_labels
}

# METADATA
# title: Tools after hours
# description: Nobody watches what tools do when the desk is closed.
deny contains text.reason("tools_after_hours", [], {
	"en": "Tools may be used in office hours only. Leave the tools out, or ask again when the office is open.",
	"zh": "工具只能在办公时间使用。请去掉工具，或在办公时间再试。",
	"ja": "ツールが使えるのは業務時間内だけです。ツールを外すか、業務時間に改めてください。",
}) if {
	count(input.request.tools) > 0
	not input.context.office_hours
}
