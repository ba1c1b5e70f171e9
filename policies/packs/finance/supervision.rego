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
supervised contains object.union(
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
# title: Answers to clients
# description: |
#   What a model writes for a client is a communication of the firm like any other, so a supervisor
#   looks at the answer if it or the question has such a label.
supervised contains object.union(
	text.reason("client_answer", [label], {
		"en": "The question or its answer is labelled %s, so a supervisor looks at the answer first.",
		"zh": "问题或答复带有标签 %s，答复须先由主管查看。",
		"ja": "質問か回答にラベル %s が付いているため、先に監督者が回答を確認します。",
	}),
	{"stage": "response", "reviewers": rules.supervisors, "risk": 70},
) if {
	rules.answers_reviewed
	some label in input.content.labels
	label in rules.client_labels
}

# METADATA
# title: Supervised
# description: What supervisors look at, they look at first.
hold contains held if some held in supervised

# METADATA
# title: Compliance
# description: |
#   Where compliance is named, it looks second: when the supervisors have approved, and knowing what
#   they wrote. Both steps are one hold, and a denial at either ends it.
hold contains object.union(held, {"step": 2, "reviewers": reviewers}) if {
	some held in supervised
	some reviewers in rules.compliance
}

# METADATA
# title: Answers for those who write to clients
# description: Are read whole, so that labels of the answer count even if the question had none.
obligation contains {"review_response": true} if {
	rules.answers_reviewed
	some group in input.principal.groups
	group in rules.client_groups
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
