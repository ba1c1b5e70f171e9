# METADATA
# title: Health care, patients
# description: |
#   What is about a patient stays in the house, goes in the least needed form, and is for those who
#   treat. Labels, groups and limits come from data.sectors.healthcare.
# scope: package
package packs.healthcare.patients

import data.lib.text

rules := data.sectors.healthcare

# METADATA
# title: About a patient
# description: The text has one of the labels of patients' records.
about_patient if {
	some label in input.content.labels
	label in rules.patient_labels
}

# METADATA
# title: Not treating
# description: Patients' records are for the groups that treat (GDPR article 9; HIPAA minimum necessary).
deny contains text.reason("not_treating", [], {
	"en": "The text is about a patient, and none of your groups treats patients. Take it out.",
	"zh": "文本涉及患者，而您所在的组不参与诊疗。请删除。",
	"ja": "本文は患者に関するもので、所属グループは診療に携わっていません。取り除いてください。",
}) if {
	about_patient
	count({group | some group in input.principal.groups; group in rules.clinicians}) == 0
}

# METADATA
# title: Patients stay in the house
# description: What is about a patient goes to a backend on the premises; without one, nowhere.
obligation contains {"route": "trust:onprem"} if about_patient

# METADATA
# title: Names of patients masked
# description: Kinds of the list are masked wherever a request goes.
obligation contains {"redact": [kind]} if {
	input.stage == "request"
	some kind, _ in input.content.entities
	kind in rules.masked_entities
}

# METADATA
# title: Pictures of patients
# description: Nobody here can look into a picture, so none leaves the house.
deny contains text.reason("picture_leaves", [], {
	"en": "The request carries a file or a picture, which may show a patient and would leave the house. Ask a model on the premises.",
	"zh": "请求带有文件或图片，可能涉及患者且会离开本院。请使用院内的模型。",
	"ja": "依頼に患者を写す可能性のあるファイルか画像があり、院外へ出ます。院内のモデルを使ってください。",
}) if {
	input.stage == "request"
	not input.content.opaque_chars == 0
	not input.request.trust == "onprem"
}

# METADATA
# title: Whole records
# description: A whole record at once is more than a question needs; somebody looks at it first.
hold contains text.reason("whole_record", [], {
	"en": "The text is a long patient record, so a reviewer looks first whether all of it is needed.",
	"zh": "文本是篇幅很长的病历，须先由审核人确认是否全部需要。",
	"ja": "本文が長い診療記録のため、すべて必要か先に審査者が確認します。",
}) if {
	about_patient
	input.content.size in {"large", "huge"}
}

# METADATA
# title: Tools near patients
# description: |
#   A tool that writes could change a record; no tool works on patients' data: none is offered, and none
#   is called with them.
deny contains text.reason("tools_near_patients", [], {
	"en": "The text is about a patient, and the request offers tools. Leave the tools out.",
	"zh": "文本涉及患者，而请求提供了工具。请去掉工具。",
	"ja": "本文は患者に関するもので、依頼がツールを提供しています。ツールを外してください。",
}) if {
	input.stage != "response"
	about_patient
	count(input.request.tools) > 0
}

# METADATA
# title: Answers about patients
# description: |
#   Where data.sectors.healthcare says so, somebody who can judge it reads an answer about a patient
#   before it is used (EU AI Act article 14).
hold contains object.union(
	text.reason("patient_answer", [], {
		"en": "The question or its answer is about a patient, so a reviewer reads the answer first.",
		"zh": "问题或答复涉及患者，答复须先由审核人阅读。",
		"ja": "質問か回答が患者に関するため、先に審査者が回答を読みます。",
	}),
	{"stage": "response", "reviewers": rules.answer_reviewers},
) if {
	rules.answers_reviewed
	about_patient
}
