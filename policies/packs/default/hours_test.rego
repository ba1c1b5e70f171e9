package packs.default.hours_test

import data.packs.default.hours
import data.packs.default.support_test as support

groups := {"sales": {"hours": {"from": 8, "to": 18}}, "desk": {"hours": {"from": 0, "to": 6, "days": ["sun"]}}}

at(day, hour) := support.changed({"context": {"weekday": day, "hour": hour}})

test_open if {
	every hour in [8, 17] {
		hours.deny == set() with input as at("mon", hour) with data.groups as groups
	}
}

test_closed if {
	every when in [["mon", 7], ["mon", 18], ["sat", 10]] {
		support.codes(hours.deny) == {"outside_hours"} with input as at(when[0], when[1])
			with data.groups as groups
	}
}

test_another_group_is_open if {
	both := object.union(at("sun", 3), {"principal": {"groups": ["sales", "desk"]}})
	hours.deny == set() with input as both with data.groups as groups
}

test_no_hours_no_word if {
	hours.deny == set() with input as at("sun", 3) with data.groups as {"sales": {}}
}
