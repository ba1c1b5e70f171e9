# METADATA
# title: Government, records
# description: What has to be kept, and what an answer has to say of itself.
# scope: package
package packs.government.records

import data.lib.text

# METADATA
# title: Answers are labelled
# description: Text of a machine says so (标识办法, GB 45438-2025).
obligation contains {"label_output": true}

# METADATA
# title: Records too short
# description: Network logs are kept for at least six months (网络安全法 article 23), contents too.
deny contains text.reason("records_too_short", [data.sectors.government.retain_days], {
	"en": "The rules ask that contents are kept for %d days, and data.yaml keeps less. An operator has to mend data.records.",
	"zh": "规则要求内容保存 %d 天，而 data.yaml 的设定不足。请管理员修正 data.records。",
	"ja": "規則は内容を %d 日間保存するよう求めますが、data.yaml の設定が足りません。管理者が data.records を直す必要があります。",
}) if {
	too_short
}

too_short if data.records.log_level == "metadata"

too_short if data.records.retain_days < data.sectors.government.retain_days
