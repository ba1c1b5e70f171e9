# METADATA
# title: Government, records
# description: What has to be kept, and what an answer has to say of itself.
# scope: package
package packs.government.records

import data.lib.duties
import data.lib.text

# METADATA
# title: Answers are labelled
# description: Text of a machine says so (标识办法, GB 45438-2025).
obligation contains {"label_output": true}

# METADATA
# title: Records too short
# description: |
#   Network logs are kept for six months (网络安全法 article 23); the ledger keeps events longer than that
#   by itself. An office that has to keep contents too says here how long.
deny contains text.reason("records_too_short", [data.sectors.government.retain_days], {
	"en": "Contents have to be kept for %d days and are kept for less. An operator has to mend data.records and [audit.retention].",
	"zh": "内容须保存 %d 天，而现在的保存期不足。请管理员修正 data.records 和 [audit.retention]。",
	"ja": "内容は %d 日間の保存が必要ですが、現在の設定では足りません。管理者が data.records と [audit.retention] を直す必要があります。",
}) if {
	duties.kept_for_less(data.sectors.government.retain_days)
}
