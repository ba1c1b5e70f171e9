package packs.healthcare.patients_test

import data.packs.default.support_test as support
import data.packs.healthcare.patients

rules := {"healthcare": {
	"patient_labels": ["patient"],
	"clinicians": ["ward-3"],
	"masked_entities": ["email"],
}}

asked(changes) := object.union(
	support.changed({"principal": {"groups": ["ward-3"]}, "content": {"labels": ["patient"]}}),
	changes,
)

test_plain_text_passes if {
	patients.deny == set() with input as support.request with data.sectors as rules
	patients.hold == set() with input as support.request with data.sectors as rules
	patients.obligation == set() with input as support.request with data.sectors as rules
}

test_who_treats_may_ask_in_the_house if {
	patients.deny == set() with input as asked({}) with data.sectors as rules
	patients.obligation == {{"route": "trust:onprem"}} with input as asked({}) with data.sectors as rules
}

test_others_may_not if {
	other := asked({"principal": {"groups": ["billing"]}})
	support.codes(patients.deny) == {"not_treating"} with input as other with data.sectors as rules
}

test_names_are_masked if {
	found := support.changed({"content": {"entities": {"card": 1, "email": 1}}})
	patients.obligation == {{"redact": ["email"]}} with input as found with data.sectors as rules
}

test_pictures_stay if {
	picture := support.changed({"content": {"opaque_chars": 9}})
	support.codes(patients.deny) == {"picture_leaves"} with input as picture with data.sectors as rules
	here := object.union(picture, {"request": {"trust": "onprem"}})
	patients.deny == set() with input as here with data.sectors as rules
}

test_a_whole_record_is_looked_at if {
	long := asked({"content": {"size": "large"}})
	support.codes(patients.hold) == {"whole_record"} with input as long with data.sectors as rules
	patients.hold == set() with input as asked({}) with data.sectors as rules
}

test_no_tools_near_patients if {
	tools := asked({"request": {"tools": ["chart.write"]}})
	support.codes(patients.deny) == {"tools_near_patients"} with input as tools with data.sectors as rules
}

test_no_call_with_a_patient if {
	about := {"principal": {"groups": ["ward-3"]}, "content": {"labels": ["patient"]}}
	called := support.call("chart.write", about)
	support.codes(patients.deny) == {"tools_near_patients"} with input as called with data.sectors as rules
	answered := support.answer(object.union(about, {"request": {"tools": ["kb.find"]}}))
	patients.deny == set() with input as answered with data.sectors as rules
}

test_an_answer_about_a_patient_is_not_for_everybody if {
	answered := support.answer({"content": {"labels": ["patient"]}})
	support.codes(patients.deny) == {"not_treating"} with input as answered with data.sectors as rules
}

test_masks_and_pictures_are_about_what_leaves if {
	found := {"content": {"entities": {"email": 1}, "opaque_chars": 9}}
	every later in [support.call("kb.find", found), support.answer(found)] {
		patients.obligation == set() with input as later with data.sectors as rules
		patients.deny == set() with input as later with data.sectors as rules
	}
}

test_answers_about_patients_are_read_first_where_that_is_wanted if {
	wanted := {"healthcare": object.union(rules.healthcare, {
		"answers_reviewed": true,
		"answer_reviewers": "senior-doctors",
	})}
	patients.hold == set() with input as asked({}) with data.sectors as rules
	every about in [asked({}), asked({"stage": "response"})] {
		some held in patients.hold with input as about with data.sectors as wanted
		[held.code, held.stage, held.reviewers] == ["patient_answer", "response", "senior-doctors"]
	}
	patients.hold == set() with input as support.request with data.sectors as wanted
}
