# METADATA
# title: Finance, content
# description: |
#   Inside information, card and account data, and lists of clients. Labels, groups and limits come
#   from data.sectors.finance.
# scope: package
package packs.finance.content

import data.lib.duties
import data.lib.text

rules := data.sectors.finance

# METADATA
# title: Information barrier
# description: A label of one side of the house is for its groups alone.
deny contains text.reason("information_barrier", [label], {
	"en": "The text is labelled %s, which your groups may not work on. Take it out, and tell compliance how you came by it.",
	"zh": "文本带有标签 %s，您所在的组不得处理。请删除，并告知合规部门您如何取得。",
	"ja": "本文にラベル %s が付いており、所属グループは扱えません。取り除き、入手の経緯をコンプライアンスに知らせてください。",
}) if {
	some label in input.content.labels
	groups := rules.barriers[label]
	count({group | some group in input.principal.groups; group in groups}) == 0
}

# METADATA
# title: Inside information stays
# description: What stands behind a barrier leaves the premises for nobody.
obligation contains {"route": "trust:onprem"} if {
	some label in input.content.labels
	rules.barriers[label]
}

# METADATA
# title: Card data masked
# description: |
#   Card numbers and other kinds of the list are masked before anything leaves (PCI DSS 3.4), and in
#   answers that are read whole.
obligation contains {"redact": [kind]} if {
	input.stage != "tool_call"
	some kind, _ in input.content.entities
	kind in rules.masked_entities
}

# METADATA
# title: Many clients
# description: Data of so many clients at once is looked at before it leaves.
hold contains text.reason("many_clients", [rules.personal_max], {
	"en": "The text holds more than %d pieces of personal data, so a reviewer looks at it first.",
	"zh": "文本中的个人信息超过 %d 条，须先由审核人查看。",
	"ja": "本文の個人情報が %d 件を超えるため、先に審査者が確認します。",
}) if {
	duties.personal > rules.personal_max
}
