# METADATA
# title: Assistants
# description: Who may use an assistant. Its labels are among those of the content already.
# scope: package
package packs.default.assistants

import data.lib.text

# METADATA
# title: Assistant of others
# description: None of the principal's groups may use this assistant.
deny contains text.reason("assistant_not_allowed", [input.request.assistant], {
	"en": "The assistant %s is not for your groups. GET /v1/models lists those you may use.",
	"zh": "助手 %s 不供您所在的组使用。GET /v1/models 会列出您可以使用的助手。",
	"ja": "アシスタント %s は所属グループでは使えません。使えるものは GET /v1/models で分かります。",
}) if {
	allowed := data.assistants[input.request.assistant].groups
	count({group | some group in input.principal.groups; group in allowed}) == 0
}
