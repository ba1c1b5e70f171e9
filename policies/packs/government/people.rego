# METADATA
# title: Government, people
# description: Who asks is a known person, and is trained.
# scope: package
package packs.government.people

import data.lib.text

rules := data.sectors.government

# METADATA
# title: A person asks
# description: |
#   Every use belongs to a person known by name (deep synthesis rules, article 9). A service account
#   asks only if data.sectors.government names it.
deny contains text.reason("no_person", [input.principal.id], {
	"en": "%s is a service account; here a person has to ask. An operator can name the account in data.yaml.",
	"zh": "%s 是服务账号；这里须由本人提出请求。管理员可在 data.yaml 中登记该账号。",
	"ja": "%s はサービスアカウントです。ここでは本人が依頼します。管理者は data.yaml に登録できます。",
}) if {
	input.principal.authentication == "service"
	not input.principal.id in rules.services
}

# METADATA
# title: Training run out
# description: Whoever's training has run out takes it again (EU AI Act article 4; 生成式AI办法).
deny contains text.reason("training_over", [], {
	"en": "Your training has run out. Take it again, then ask an operator to record it.",
	"zh": "您的培训已过有效期。请重新培训，并请管理员登记。",
	"ja": "研修の有効期限が切れています。再受講し、管理者に登録を依頼してください。",
}) if {
	input.principal.training == "over"
}
