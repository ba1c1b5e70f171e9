# METADATA
# title: Finance, records
# description: What has to be kept.
# scope: package
package packs.finance.records

import data.lib.duties
import data.lib.text

# METADATA
# title: Records too short
# description: Records of a broker-dealer are kept for six years (SEC rule 17a-4), contents too.
deny contains text.reason("records_too_short", [data.sectors.finance.retain_days], {
	"en": "Contents have to be kept for %d days and are kept for less. An operator has to mend data.records and [audit.retention].",
	"zh": "内容须保存 %d 天，而现在的保存期不足。请管理员修正 data.records 和 [audit.retention]。",
	"ja": "内容は %d 日間の保存が必要ですが、現在の設定では足りません。管理者が data.records と [audit.retention] を直す必要があります。",
}) if {
	duties.kept_for_less(data.sectors.finance.retain_days)
}
