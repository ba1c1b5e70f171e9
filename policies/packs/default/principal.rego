# METADATA
# title: Principal
# description: Who may ask at all.
# scope: package
package packs.default.principal

import data.lib.text

# METADATA
# title: Unknown principal
# description: None of the principal's groups is in data.yaml.
deny contains text.reason("principal_unknown", [], {
	"en": "None of your groups may use models here. Ask an operator to add you to a group.",
	"zh": "您所在的组都不能在此使用模型。请管理员把您加入相应的组。",
	"ja": "あなたの所属グループはここでモデルを使えません。管理者にグループへの追加を依頼してください。",
}) if {
	not known
}

# METADATA
# title: Blocked principal
# description: data.yaml blocks this principal.
deny contains text.reason("principal_blocked", [], {
	"en": "Your access is blocked. Ask an operator why.",
	"zh": "您的访问已被停用。请向管理员询问原因。",
	"ja": "あなたの利用は停止されています。理由は管理者に問い合わせてください。",
}) if {
	data.principals[input.principal.id].blocked == true
}

# METADATA
# title: Halted
# description: The kill switch is on.
deny contains text.reason("halted", [], {
	"en": "Requests are halted for now. Ask an operator when they resume.",
	"zh": "目前所有请求均已暂停。请向管理员询问何时恢复。",
	"ja": "現在すべての依頼を停止しています。再開の時期は管理者に問い合わせてください。",
}) if {
	not input.context.halt == false
}

# METADATA
# title: Training missing
# description: A group whose members need a training that is still good has one without it.
deny contains text.reason("training_missing", [], {
	"en": "Your group may use models only with a valid training. Take it, then ask an operator to record it.",
	"zh": "您所在的组须完成有效期内的培训方可使用模型。请完成培训，并请管理员登记。",
	"ja": "所属グループがモデルを使うには有効な研修が必要です。受講後、管理者に登録を依頼してください。",
}) if {
	some group in input.principal.groups
	data.groups[group].training == true
	not input.principal.training == "valid"
}

# METADATA
# title: Known
# description: At least one group that data.yaml knows.
known if {
	some group in input.principal.groups
	data.groups[group]
}
