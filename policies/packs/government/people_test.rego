package packs.government.people_test

import data.packs.default.support_test as support
import data.packs.government.people

rules := {"government": {"services": ["svc-archive"]}}

test_a_person_passes if {
	people.deny == set() with input as support.request with data.sectors as rules
}

test_a_service_has_to_be_named if {
	asked := support.changed({"principal": {"id": "svc-batch", "authentication": "service"}})
	support.codes(people.deny) == {"no_person"} with input as asked with data.sectors as rules
	named := object.union(asked, {"principal": {"id": "svc-archive"}})
	people.deny == set() with input as named with data.sectors as rules
}

test_training_over if {
	asked := support.changed({"principal": {"training": "over"}})
	support.codes(people.deny) == {"training_over"} with input as asked with data.sectors as rules
}
