package packs.healthcare.records_test

import data.packs.default.support_test as support
import data.packs.healthcare.records

duty := {"healthcare": {"retain_days": 184}}

test_enough_is_kept if {
	every kept in [{"log_level": "full"}, {"log_level": "redacted", "retain_days": 184}] {
		records.deny == set() with input as support.request
			with data.sectors as duty
			with data.records as kept
	}
}

test_too_little_is_kept if {
	every kept in [{"log_level": "metadata"}, {"log_level": "full", "retain_days": 183}] {
		support.codes(records.deny) == {"records_too_short"} with input as support.request
			with data.sectors as duty
			with data.records as kept
	}
}

test_answers_are_labelled if records.obligation == {{"label_output": true}}

test_the_ledger_keeps_too_little if {
	soon := support.changed({"context": {"content_days": 183}})
	support.codes(records.deny) == {"records_too_short"} with input as soon
		with data.sectors as duty
		with data.records as {"log_level": "full"}
	ever := support.changed({"context": {"content_days": null}})
	records.deny == set() with input as ever
		with data.sectors as duty
		with data.records as {"log_level": "full"}
}

test_without_a_duty_nothing_is_too_short if {
	records.deny == set() with input as support.request
		with data.sectors as {"healthcare": {}}
		with data.records as {"log_level": "metadata"}
}
