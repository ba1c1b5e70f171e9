# METADATA
# title: Content
# description: |
#   What labels, found entities and attachments lead to. The text itself is never seen. What may not
#   leave may not come back either: the denials are about the text of each stage.
# scope: package
package packs.default.content

import data.lib.text

# METADATA
# title: Label denied
# description: A word list gave the text a label that may not leave.
deny contains text.reason("label_denied", [label, data.labels.denied[label]], {
	"en": "The text is labelled %s. %s",
	"zh": "文本带有标签 %s。%s",
	"ja": "本文にラベル %s が付いています。%s",
}) if {
	some label in input.content.labels
	data.labels.denied[label]
}

# METADATA
# title: Label bound to the premises
# description: It goes to a backend on our own premises that offers the model; without one, nowhere.
obligation contains {"route": "trust:onprem"} if {
	some label in input.content.labels
	label in data.labels.onprem_only
}

# METADATA
# title: Entity bound to the premises
# description: As for labels, for a kind of personal data that data.yaml keeps in the house.
obligation contains {"route": "trust:onprem"} if {
	some kind, _ in input.content.entities
	kind in data.entities.onprem_only
}

# METADATA
# title: Entity masked
# description: A kind of personal data that is masked before the request leaves.
obligation contains {"redact": [kind]} if {
	input.stage == "request"
	some kind, _ in input.content.entities
	kind in data.entities.redacted
}

# METADATA
# title: Credential found
# description: Keys, tokens and passwords never leave, whoever asks.
deny contains text.reason("credential_found", [kind], {
	"en": "The text holds what looks like a secret (%s), which does not pass here. Take it out of a request, and replace it if it is real.",
	"zh": "文本中有疑似密钥或口令的内容（%s），不得通过。请从请求中删除；如果是真的，请立即更换。",
	"ja": "本文に秘密情報らしきもの（%s）があり、ここを通せません。依頼から取り除き、本物であれば変更してください。",
}) if {
	some kind, _ in input.content.entities
	startswith(kind, "credential_")
}

# METADATA
# title: Entity denied
# description: A kind of personal data that data.yaml forbids.
deny contains text.reason("entity_denied", [kind], {
	"en": "The text holds personal data (%s), which may not pass here. Take it out of a request.",
	"zh": "文本中有不得通过的个人信息（%s）。请从请求中删除。",
	"ja": "本文にここを通せない個人情報（%s）があります。依頼から取り除いてください。",
}) if {
	some kind, _ in input.content.entities
	kind in data.entities.denied
}

# METADATA
# title: Attachment not looked into
# description: Inline files and images cannot be scanned; only some groups may send them.
deny contains text.reason("attachment_not_scanned", [], {
	"en": "The request carries a file or an image, which nobody can look into here. Send the text instead.",
	"zh": "请求带有文件或图片，这里无法检查其内容。请改为发送文字。",
	"ja": "依頼にファイルか画像が含まれ、ここでは中身を検査できません。代わりに文章を送ってください。",
}) if {
	input.stage == "request"
	not input.content.opaque_chars == 0
	not may_attach
}

# METADATA
# title: May attach
# description: Some group of the principal may send what cannot be scanned.
may_attach if {
	some group in input.principal.groups
	data.groups[group].attachments == true
}
