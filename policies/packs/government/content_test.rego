package packs.government.content_test

import data.packs.default.support_test as support
import data.packs.government.content

rules := {"government": {
	"state_secret": ["state_secret"],
	"work_secret": ["work_secret"],
	"region_entities": ["resident_id"],
	"personal_max": 2,
}}

test_plain_text_passes if {
	content.deny == set() with input as support.request with data.sectors as rules
	content.hold == set() with input as support.request with data.sectors as rules
	content.obligation == set() with input as support.request with data.sectors as rules
}

test_state_secret if {
	asked := support.changed({"content": {"labels": ["state_secret"]}})
	support.codes(content.deny) == {"state_secret"} with input as asked with data.sectors as rules
}

test_work_secret_stays if {
	asked := support.changed({"content": {"labels": ["work_secret"]}})
	content.obligation == {{"route": "trust:onprem"}} with input as asked with data.sectors as rules
}

test_personal_data_stays_in_the_region if {
	abroad := support.changed({"content": {"entities": {"resident_id": 1}}})
	support.codes(content.deny) == {"personal_data_abroad"} with input as abroad
		with data.sectors as rules
	every trust in ["region", "onprem"] {
		near := object.union(abroad, {"request": {"trust": trust}})
		content.deny == set() with input as near with data.sectors as rules
	}
}

test_many_people_are_looked_at if {
	asked := support.changed({"content": {"entities": {"email": 2, "card": 1}}})
	support.codes(content.hold) == {"many_people"} with input as asked with data.sectors as rules
	secrets := support.changed({"content": {"entities": {"email": 2, "credential_aws": 9}}})
	content.hold == set() with input as secrets with data.sectors as rules
}

test_what_comes_from_abroad_does_not_leave if {
	answered := support.answer({"content": {"entities": {"resident_id": 1}}})
	content.deny == set() with input as answered with data.sectors as rules
}

test_answers_are_looked_through_where_that_is_wanted if {
	wanted := {"government": object.union(rules.government, {"answers_reviewed": true})}
	content.obligation == {{"review_response": true}} with input as support.request
		with data.sectors as wanted
	answered := support.answer({"content": {"labels": ["state_secret"]}})
	support.codes(content.deny) == {"state_secret"} with input as answered with data.sectors as wanted
}
