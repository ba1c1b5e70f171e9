package system.authz_test

import data.system.authz

question := {"method": "POST", "path": ["v1", "data", "sekisho", "decision"]}

with_token := {"env": {"SEKISHO_OPA_TOKEN": "t-1"}}

test_the_one_question if {
	authz.allow with input as question with opa.runtime as {"env": {}}
}

test_the_question_with_the_token if {
	authz.allow with input as object.union(question, {"identity": "t-1"}) with opa.runtime as with_token
}

test_no_token if {
	not authz.allow with input as question with opa.runtime as with_token
}

test_another_token if {
	asked := object.union(question, {"identity": "t-2"})
	not authz.allow with input as asked with opa.runtime as with_token
}

test_an_empty_token_is_none if {
	asked := object.union(question, {"identity": ""})
	not authz.allow with input as asked with opa.runtime as {"env": {"SEKISHO_OPA_TOKEN": ""}}
}

test_health_and_metrics if {
	every path in [["health"], ["metrics"]] {
		authz.allow with input as {"method": "GET", "path": path} with opa.runtime as with_token
	}
}

test_nothing_else if {
	every asked in [
		{"method": "GET", "path": ["v1", "data", "sekisho", "decision"]},
		{"method": "PUT", "path": ["v1", "data", "sekisho", "decision"]},
		{"method": "PATCH", "path": ["v1", "data", "sekisho", "decision"]},
		{"method": "DELETE", "path": ["v1", "data", "sekisho", "decision"]},
		{"method": "POST", "path": ["v1", "data"]},
		{"method": "POST", "path": ["v1", "data", "sekisho"]},
		{"method": "POST", "path": ["v1", "data", "sekisho", "decision", "effect"]},
		{"method": "POST", "path": ["v1", "data", "groups"]},
		{"method": "POST", "path": ["v0", "data", "sekisho", "decision"]},
		{"method": "POST", "path": ["v1", "query"]},
		{"method": "POST", "path": ["v1", "compile"]},
		{"method": "PUT", "path": ["v1", "policies", "x"]},
		{"method": "GET", "path": ["v1", "policies"]},
		{"method": "GET", "path": ["v1", "config"]},
		{"method": "GET", "path": ["v1", "status"]},
		{"method": "POST", "path": ["health"]},
		{"method": "POST", "path": []},
		{"method": "POST", "path": [""]},
	] {
		not authz.allow with input as asked with opa.runtime as {"env": {}}
	}
}
