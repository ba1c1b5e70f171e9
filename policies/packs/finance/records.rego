# METADATA
# title: Finance, records
# description: What has to be kept.
# scope: package
package packs.finance.records

import data.lib.text

# METADATA
# title: Records too short
# description: Records of a broker-dealer are kept for six years (SEC rule 17a-4), contents too.
deny contains text.reason("records_too_short", [data.sectors.finance.retain_days], {
	"en": "The rules ask that contents are kept for %d days, and data.yaml keeps less. An operator has to mend data.records.",
	"zh": "规则要求内容保存 %d 天，而 data.yaml 的设定不足。请管理员修正 data.records。",
	"ja": "規則は内容を %d 日間保存するよう求めますが、data.yaml の設定が足りません。管理者が data.records を直す必要があります。",
}) if {
	too_short
}

too_short if data.records.log_level == "metadata"

too_short if data.records.retain_days < data.sectors.finance.retain_days
