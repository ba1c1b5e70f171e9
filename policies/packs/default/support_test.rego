# METADATA
# title: Support for tests
# description: |
#   One request that is allowed, a tool call and an answer to it; tests change what they are about.
package packs.default.support_test

request := {
	"schema": "sekisho.input/v1",
	"stage": "request",
	"exchange": "exchange-1",
	"principal": {
		"id": "staff-7",
		"groups": ["sales"],
		"roles": ["employee"],
		"training_until": null,
		"training": "none",
		"authentication": "api_key",
	},
	"request": {
		"endpoint": "chat.completions",
		"model": "models/small-1",
		"assistant": null,
		"backend": "backend-1",
		"trust": "external",
		"mode": "assistant",
		"stream": false,
		"max_tokens": 100,
		"estimated_tokens": 10,
		"tools": [],
		"hosted": [],
		"unknown_fields": [],
	},
	"tool": null,
	"content": {
		"labels": [],
		"entities": {},
		"chars": 40,
		"hidden_chars": 0,
		"opaque_chars": 0,
		"size": "small",
	},
	"approval": {"state": "none", "by": []},
	"context": {
		"time_ns": 1700000000000000000,
		"office_hours": true,
		"weekday": "wed",
		"hour": 10,
		"content_days": 2555,
		"ip": "192.0.2.1",
		"spend": null,
		"limits": null,
		"halt": false,
	},
}

# METADATA
# title: With
# description: The request with some of its members changed, however deep.
changed(changes) := object.union(request, changes)

# METADATA
# title: Call
# description: A call of a function that the request offered, with more members changed.
call(name, changes) := object.union(
	object.union(request, {
		"stage": "tool_call",
		"request": {"tools": [name], "mode": "copilot"},
		"tool": {"name": name, "arguments": {}, "whole": true},
	}),
	changes,
)

# METADATA
# title: Answer
# description: The whole answer, with some members changed. `content` is about it, not the request.
answer(changes) := object.union(object.union(request, {"stage": "response"}), changes)

groups := {
	"sales": {"models": ["models/small-*"], "max_tokens": 1000},
	"engineering": {"models": ["models/*"], "attachments": true},
}

settings := {
	"reviewers": "reviewer",
	"approve": 1,
	"deny": 1,
	"ttl_s": 3600,
	"risk": 50,
	"models": ["models/held-*"],
}

labels := {"denied": {"secret": "Take it out."}, "held": ["review"], "onprem_only": ["internal"]}

codes(entries) := {entry.code | some entry in entries}
