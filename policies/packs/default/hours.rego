# METADATA
# title: Hours
# description: |
#   When a group may ask. Hours and days are those of the gateway's `[policy] time_zone`; to the hour,
#   so that a decision stays good for as long as it can.
# scope: package
package packs.default.hours

import data.lib.text

# METADATA
# title: Outside hours
# description: Every group of the principal that data.yaml gives hours is closed now.
deny contains text.reason("outside_hours", [], {
	"en": "Your group may use models at other hours only. Ask again then, or ask an operator.",
	"zh": "您所在的组只能在其他时段使用模型。请届时再试，或询问管理员。",
	"ja": "所属グループが使えるのは別の時間帯だけです。その時間に改めるか、管理者に問い合わせてください。",
}) if {
	some group in input.principal.groups
	data.groups[group].hours
	not open
}

# METADATA
# title: Open
# description: Some group of the principal is open now. One without hours of its own opens nothing here.
open if {
	some group in input.principal.groups
	hours := data.groups[group].hours
	input.context.weekday in object.get(hours, "days", ["mon", "tue", "wed", "thu", "fri"])
	input.context.hour >= hours.from
	input.context.hour < hours.to
}
