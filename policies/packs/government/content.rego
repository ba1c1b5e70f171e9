# METADATA
# title: Government, content
# description: |
#   State and work secrets, and people's data that may not go abroad. Labels and limits come from
#   data.sectors.government; the words that give the labels from data.words.
# scope: package
package packs.government.content

import data.lib.duties
import data.lib.text

rules := data.sectors.government

# METADATA
# title: State secret
# description: A marked document of the state goes into no model (secrets law; MLPS 2.0 level 3).
deny contains text.reason("state_secret", [label], {
	"en": "The text is marked as a state secret (%s). It may not be put into any model: take it out and tell your security officer.",
	"zh": "文本带有国家秘密标志（%s），不得输入任何模型。请删除并告知保密负责人。",
	"ja": "本文に国家機密の表示（%s）があります。どのモデルにも入力できません。取り除き、保全担当者に知らせてください。",
}) if {
	some label in input.content.labels
	label in rules.state_secret
}

# METADATA
# title: Work secret
# description: Internal matters of an office stay on its own premises.
obligation contains {"route": "trust:onprem"} if {
	some label in input.content.labels
	label in rules.work_secret
}

# METADATA
# title: Personal data abroad
# description: |
#   These kinds leave the region for nobody (PIPL articles 38 to 40): with them the request is held
#   to backends in the region or on the premises.
deny contains text.reason("personal_data_abroad", [kind, input.request.model], {
	"en": "The text holds personal data (%s) that may not leave the region, and %s is outside it. Take it out, or ask a model in the region.",
	"zh": "文本中有不得出境的个人信息（%s），而模型 %s 在境外。请删除，或改用境内的模型。",
	"ja": "本文に域外へ出せない個人情報（%s）があり、モデル %s は域外です。取り除くか、域内のモデルを使ってください。",
}) if {
	input.stage == "request"
	input.request.trust == "external"
	some kind, _ in input.content.entities
	kind in rules.region_entities
}

# METADATA
# title: Many people
# description: Data of so many people at once is looked at before it leaves.
hold contains text.reason("many_people", [rules.personal_max], {
	"en": "The text holds more than %d pieces of personal data, so a reviewer looks at it first.",
	"zh": "文本中的个人信息超过 %d 条，须先由审核人查看。",
	"ja": "本文の個人情報が %d 件を超えるため、先に審査者が確認します。",
}) if {
	duties.personal > rules.personal_max
}

# METADATA
# title: Answers are looked through
# description: |
#   What comes out is looked through like what goes in (deep synthesis rules, article 10), where
#   data.sectors.government says so: the answer is read whole and all rules are asked about it.
obligation contains {"review_response": true} if rules.answers_reviewed
