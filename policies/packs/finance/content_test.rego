package packs.finance.content_test

import data.packs.default.support_test as support
import data.packs.finance.content

rules := {"finance": {
	"barriers": {"inside_information": ["investment-banking"]},
	"masked_entities": ["card"],
	"personal_max": 2,
}}

inside := support.changed({"content": {"labels": ["inside_information"]}})

test_plain_text_passes if {
	content.deny == set() with input as support.request with data.sectors as rules
	content.hold == set() with input as support.request with data.sectors as rules
	content.obligation == set() with input as support.request with data.sectors as rules
}

test_the_barrier_stops_others if {
	support.codes(content.deny) == {"information_barrier"} with input as inside with data.sectors as rules
}

test_the_barrier_lets_its_groups_work_in_the_house if {
	theirs := object.union(inside, {"principal": {"groups": ["sales", "investment-banking"]}})
	content.deny == set() with input as theirs with data.sectors as rules
	content.obligation == {{"route": "trust:onprem"}} with input as theirs with data.sectors as rules
}

test_cards_are_masked if {
	asked := support.changed({"content": {"entities": {"card": 1, "email": 1}}})
	content.obligation == {{"redact": ["card"]}} with input as asked with data.sectors as rules
}

test_a_tool_call_is_not_masked if {
	found := {"content": {"entities": {"card": 1}}}
	content.obligation == set() with input as support.call("desk.book", found) with data.sectors as rules
	content.obligation == {{"redact": ["card"]}} with input as support.answer(found)
		with data.sectors as rules
}

test_many_clients_are_looked_at if {
	asked := support.changed({"content": {"entities": {"card": 1, "email": 2}}})
	support.codes(content.hold) == {"many_clients"} with input as asked with data.sectors as rules
}
