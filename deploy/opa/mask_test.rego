package system.log_test

import data.system.log

test_people_and_places_are_left_out if {
	entry := {"input": {"principal": {"id": "staff-7"}, "tool": null}}
	{"/input/principal/id", "/input/context/ip"} & log.mask == {
		"/input/principal/id",
		"/input/context/ip",
	} with input as entry
}

test_arguments_of_tools if {
	not "/input/tool/arguments" in log.mask with input as {"input": {"tool": null}}
	"/input/tool/arguments" in log.mask with input as {"input": {"tool": {"arguments": {"a": 1}}}}
}
