# METADATA
# title: Health care, records
# description: What has to be kept, and what an answer has to say of itself.
# scope: package
package packs.healthcare.records

import data.lib.text

# METADATA
# title: Answers are labelled
# description: Whoever reads it knows that a machine wrote it (EU AI Act article 50).
obligation contains {"label_output": true}

# METADATA
# title: Records too short
# description: |
#   A deployer of a high-risk system keeps its logs for at least six months (EU AI Act article 26);
#   a hospital's own rule is often longer.
deny contains text.reason("records_too_short", [data.sectors.healthcare.retain_days], {
	"en": "The rules ask that contents are kept for %d days, and data.yaml keeps less. An operator has to mend data.records.",
	"zh": "规则要求内容保存 %d 天，而 data.yaml 的设定不足。请管理员修正 data.records。",
	"ja": "規則は内容を %d 日間保存するよう求めますが、data.yaml の設定が足りません。管理者が data.records を直す必要があります。",
}) if {
	too_short
}

too_short if data.records.log_level == "metadata"

too_short if data.records.retain_days < data.sectors.healthcare.retain_days
