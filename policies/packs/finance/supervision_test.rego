package packs.finance.supervision_test

import data.packs.default.support_test as support
import data.packs.finance.supervision

rules := {"finance": {"client_labels": ["client_advice"], "supervisors": "principals"}}

test_words_to_clients_go_to_a_supervisor if {
	asked := support.changed({"content": {"labels": ["client_advice"]}})
	some held in supervision.hold with input as asked with data.sectors as rules
	held.code == "client_communication"
	held.reviewers == "principals"
	object.keys(held.texts) == {"zh", "ja"}
	supervision.hold == set() with input as support.request with data.sectors as rules
}

test_tools_rest_when_the_desk_is_closed if {
	asked := support.changed({"request": {"tools": ["desk.book"]}, "context": {"office_hours": false}})
	support.codes(supervision.deny) == {"tools_after_hours"} with input as asked
	open := object.union(asked, {"context": {"office_hours": true}})
	supervision.deny == set() with input as open
	plain := support.changed({"context": {"office_hours": false}})
	supervision.deny == set() with input as plain
}
