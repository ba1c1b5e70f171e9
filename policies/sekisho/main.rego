# METADATA
# title: The fold
# description: |
#   Collects what the packs say into one decision. Rule packages are named packs.<pack>.<area> and
#   may define four sets: `allow`, `deny`, `hold` and `obligation`. Deny beats hold beats allow, what
#   no rule allows is denied, and several obligations of one name leave the narrowest.
#   Nothing here may let a malformed rule pass in silence: it becomes a deny that names the package.
#   Most rules are whole values, not sets built key by key, because those are computed once.
# scope: package
package sekisho

# METADATA
# title: Decision
# description: What the gateway asks for. Undefined is never an answer.
# entrypoint: true
default decision := {
	"schema": "sekisho.decision/v1",
	"effect": "deny",
	"reasons": [{
		"code": "policy_undefined",
		"msg": "The rules gave no decision about this request. Ask an operator to look at the policy.",
		"rule": "sekisho.decision",
	}],
	"obligations": {},
}

decision := {
	"schema": "sekisho.decision/v1",
	"effect": effect,
	"reasons": reasons,
	"obligations": obligations,
}

# METADATA
# title: Effect
# description: Deny beats hold beats allow, and somebody has to allow.
default effect := "deny"

effect := "allow" if {
	count(denials) == 0
	count(holds) == 0
	count(permits) > 0
}

effect := "hold" if {
	count(denials) == 0
	count(holds) > 0
	count(permits) > 0
}

# METADATA
# title: Reasons
# description: |
#   The reasons that go with the effect; a permit needs no explaining. Of several denials those about
#   who asks come first, then those about the model: until they are mended no other change helps.
default reasons := []

reasons := [ranked[2] |
	some ranked in sort([[rank(denial.rule), denial.code, denial] | some denial in denials])
] if {
	count(denials) > 0
}

reasons := [cause | some cause in {held.reason | some held in holds}] if effect == "hold"

reasons := [{
	"code": "not_allowed",
	"msg": "No rule allows this request. Ask an operator which models your group may use.",
	"rule": "sekisho.effect",
}] if {
	count(denials) == 0
	count(permits) == 0
}

# METADATA
# title: Rank
# description: By the area of the rule package, the part after the last dot.
default rank(_) := 2

rank(rule) := 0 if endswith(rule, ".principal")

rank(rule) := 1 if endswith(rule, ".models")

# METADATA
# title: Said
# description: Every entry of every rule package, with the set it stands in and who said it.
said := {[kind, rule, entry] |
	some pack, area
	some kind in ["allow", "deny", "hold", "obligation"]
	some entry in entries(data.packs[pack][area][kind])
	rule := concat(".", [pack, area])
}

# METADATA
# title: Permits
# description: The rule packages that allow this request.
permits := {rule |
	some ["allow", rule, entry] in said
	well_formed(entry)
}

# METADATA
# title: Denials
# description: Why the request is denied; empty if it is not.
denials := union({
	{reason(rule, entry) | some ["deny", rule, entry] in said},
	{malformed(rule, "allow") | some ["allow", rule, entry] in said; not well_formed(entry)},
	{malformed(rule, "hold") | some ["hold", rule, entry] in said; not hold_terms(entry)},
	{malformed(rule, "obligation") |
		some ["obligation", rule, entry] in said
		not obligation_known(entry)
	},
	of_the_fold,
})

# METADATA
# title: Denials of the fold
# description: What is refused whatever the packs say.
of_the_fold contains {
	"code": "obligation_conflict",
	"msg": "Two rules send this request to different backends. Ask an operator to mend the policy.",
	"rule": "sekisho.obligations",
} if {
	count(asked.route) > 1
}

of_the_fold contains {
	"code": "stage_not_supported",
	"msg": "The rules in force do not cover this step yet, so it is refused. Ask an operator.",
	"rule": "sekisho.stage",
} if {
	not input.stage == "request"
}

of_the_fold contains {
	"code": "input_not_understood",
	"msg": "The gateway and its rules do not fit together. Ask an operator to update one of them.",
	"rule": "sekisho.input",
} if {
	not input.schema == "sekisho.input/v1"
}

# METADATA
# title: Holds
# description: Each rule that wants people to answer first, with its terms.
holds := {{"reason": reason(rule, entry), "terms": terms} |
	some ["hold", rule, entry] in said
	terms := hold_terms(entry)
}

# METADATA
# title: Obligations
# description: What the gateway must do, merged so that the narrowest wins.
obligations := object.union(hold_obligation, {name: narrowest(name, values) |
	some name, values in asked
})

# METADATA
# title: Asked
# description: Every value asked for, by the name of its obligation.
asked := {name: values |
	some ["obligation", _, named] in said
	some name, _ in named
	values := {as_set(entry[name]) |
		some ["obligation", _, entry] in said
		obligation_known(entry)
	}
	count(values) > 0
}

# METADATA
# title: Hold obligation
# description: The terms of all holds in one; each group of reviewers is asked for the most.
default hold_obligation := {}

hold_obligation := {"hold": {
	"stage": "request",
	"thresholds": [threshold | some threshold in thresholds],
	"ttl_s": min({held.terms.ttl_s | some held in holds}),
	"risk": max({held.terms.risk | some held in holds}),
}} if {
	count(holds) > 0
}

# METADATA
# title: Thresholds
# description: For each group of reviewers the most approvals and the fewest denials asked.
thresholds := {threshold |
	some reviewers in {held.terms.reviewers | some held in holds}
	threshold := {
		"reviewers": reviewers,
		"approve": max({held.terms.approve | some held in holds; held.terms.reviewers == reviewers}),
		"deny": min({held.terms.deny | some held in holds; held.terms.reviewers == reviewers}),
	}
}

# METADATA
# title: Narrowest
# description: Of several values for one obligation, the one that restricts most.
narrowest(name, values) := min(values) if name in {"max_tokens", "retain_days"}

narrowest("allow_tools", values) := [tool | some tool in intersection(values)]

narrowest(name, values) := [member | some member in union(values)] if name in {"redact", "notify"}

narrowest(name, values) := max(values) if name in {"label_output", "justify", "review_response"}

narrowest("route", values) := max(values)

narrowest("log_level", values) := [level | some level in log_levels; level in values][0]

# METADATA
# title: Log levels
# description: From the least kept to the most.
log_levels := ["metadata", "redacted", "full"]

# METADATA
# title: Entries
# description: The members of a set; anything else is one entry, and then a malformed one.
entries(value) := value if is_set(value)

entries(value) := {{"not_a_set": value}} if not is_set(value)

# METADATA
# title: Reason
# description: A reason with its rule named here, so that no package speaks in another's name.
reason(rule, entry) := {"code": entry.code, "msg": entry.msg, "rule": rule} if {
	well_formed(entry)
} else := malformed(rule, "deny")

# METADATA
# title: Malformed
# description: The reason given when a rule cannot be read.
malformed(rule, kind) := {
	"code": "malformed_rule",
	"msg": sprintf(
		"A rule in packs.%s gave something that is not a valid entry of `%s`. Ask an operator.",
		[rule, kind],
	),
	"rule": rule,
}

# METADATA
# title: Well formed
# description: Every entry says a code and a sentence.
well_formed(entry) if {
	is_object(entry)
	is_string(entry.code)
	is_string(entry.msg)
}

# METADATA
# title: Hold terms
# description: The terms of one hold rule, filled from data.hold; undefined if they cannot be read.
hold_terms(entry) := terms if {
	well_formed(entry)
	terms := object.union(hold_settings, object.remove(entry, ["code", "msg"]))
	object.keys(terms) == {"reviewers", "approve", "deny", "ttl_s", "risk"}
	is_string(terms.reviewers)
	every name in ["approve", "deny", "ttl_s", "risk"] {
		is_number(terms[name])
	}
}

# METADATA
# title: Hold settings
# description: Who answers and how long they have, as data.yaml says.
hold_settings := object.union(
	{"reviewers": "reviewer", "approve": 1, "deny": 1, "ttl_s": 86400, "risk": 50},
	object.remove(data.hold, ["models"]),
)

# METADATA
# title: Known obligation
# description: An object whose every member is an obligation we can merge, of the right type.
obligation_known(entry) if {
	is_object(entry)
	count(entry) > 0
	every name, value in entry {
		obligation_fits(name, value)
	}
}

obligation_fits(name, value) if {
	name in {"max_tokens", "retain_days"}
	is_number(value)
}

obligation_fits(name, value) if {
	name in {"allow_tools", "redact", "notify"}
	is_array(value)
}

obligation_fits(name, value) if {
	name in {"label_output", "justify", "review_response"}
	is_boolean(value)
}

obligation_fits("route", value) if is_string(value)

obligation_fits("log_level", value) if value in log_levels

# METADATA
# title: As set
# description: Lists are merged as sets.
as_set(value) := {member | some member in value} if is_array(value)

as_set(value) := value if not is_array(value)
