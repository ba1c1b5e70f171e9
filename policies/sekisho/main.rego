# METADATA
# title: The fold
# description: |
#   Collects what the packs say into one decision. Rule packages are named packs.<pack>.<area> and
#   may define four sets: `allow`, `deny`, `hold` and `obligation`. Deny beats hold beats allow, what
#   no rule allows is denied, and several obligations of one name leave the narrowest. An entry of
#   `hold` is of a stage, of which the effect is only about the one that is asked about.
#   data.modes names every pack with its mode; one that is not there is refused when the bundle is
#   loaded, as are sets that are none.
#   Nothing here may let a malformed rule pass in silence: it becomes a deny that names the package.
#   Most rules are whole values, not sets built key by key, because those are computed once.
# scope: package
package sekisho

import data.lib.text

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
	"observed": observed,
}

# METADATA
# title: Effect
# description: Deny beats hold beats allow, and somebody has to allow.
effect := "deny" if {
	denials != set()
} else := "deny" if {
	permits == set()
} else := "hold" if {
	hold_said != set()
	held_now != set()
} else := "allow"

# METADATA
# title: Stages
# description: What may be decided about, in the order in which an exchange comes to it.
stages := {"request": 1, "tool_call": 2, "response": 3}

# METADATA
# title: Reasons
# description: |
#   The reasons that go with the effect; a permit needs no explaining, unless a pack in mode warn
#   wants one from the person. Of several denials those about who asks come first, then those about
#   the model: until they are mended no other change helps. Nobody reads more than 64.
reasons := [] if {
	effect == "allow"
	warnings == set()
} else := array.slice(
	[ranked[2] |
		some ranked in sort([[rank(denial.rule), denial.code, denial] | some denial in denials])
	],
	0, 64,
) if {
	denials != set()
} else := [object.union(
	text.reason("not_allowed", [], {
		"en": "No rule allows this request. Ask an operator which models your group may use.",
		"zh": "没有规则允许这个请求。请询问管理员，您所在的组可以使用哪些模型。",
		"ja": "この依頼を許す規則がありません。所属グループが使えるモデルを管理者に確認してください。",
	}),
	{"rule": "sekisho.effect"},
)] if {
	effect == "deny"
} else := array.slice([cause | some cause in {held.reason | some held in held_now} | warnings], 0, 64)

# METADATA
# title: Rank
# description: By the area of the rule package, the part after the last dot.
default rank(_) := 2

rank(rule) := 0 if endswith(rule, ".principal")

rank(rule) := 1 if endswith(rule, ".models")

# METADATA
# title: Enforced
# description: Packs whose word counts.
enforced := {pack | some pack, "enforce" in data.modes}

# METADATA
# title: Said
# description: |
#   Every entry of every enforced rule package, with who said it; a set for each kind, so that no
#   rule goes through those of another.
deny_said := {[pack, area, entry] |
	some pack in enforced
	some area
	some entry in data.packs[pack][area].deny
}

hold_said := {[pack, area, entry] |
	some pack in enforced
	some area
	some entry in data.packs[pack][area].hold
}

allow_said := {[pack, area, entry] |
	some pack in enforced
	some area
	some entry in data.packs[pack][area].allow
}

obligation_said := {[pack, area, entry] |
	some pack in enforced
	some area
	some entry in data.packs[pack][area].obligation
}

speaker(said) := concat(".", [said[0], said[1]])

# METADATA
# title: Permits
# description: The entries that allow this request.
permits := {said | some said in allow_said; well_formed(said[2])}

# METADATA
# title: Known
# description: The obligations that can be read.
known := {said | some said in obligation_said; obligation_known(said[2])}

# METADATA
# title: Denials
# description: Why the request is denied; empty if it is not.
denials := union({
	of_the_fold,
	{reason(speaker(said), said[2]) | some said in deny_said},
	{malformed(speaker(said), "allow") | some said in allow_said - permits},
	{malformed(speaker(said), "hold") | some said in hold_said; not hold_terms(said[2])},
	{malformed(speaker(said), "obligation") | some said in obligation_said - known},
})

# METADATA
# title: Denials of the fold
# description: What is refused whatever the packs say.
of_the_fold contains object.union(
	text.reason("obligation_conflict", [], {
		"en": "Two rules send this request to different backends. Ask an operator to mend the policy.",
		"zh": "两条规则要把这个请求送往不同的后端。请管理员修正规则。",
		"ja": "二つの規則がこの依頼を別々のバックエンドへ送ろうとしています。管理者に規則の修正を依頼してください。",
	}),
	{"rule": "sekisho.obligations"},
) if {
	not distinct
	count({route | some ["route", route] in asked}) > 1
}

of_the_fold contains object.union(
	text.reason("stage_not_supported", [], {
		"en": "The rules in force do not cover this step yet, so it is refused. Ask an operator.",
		"zh": "现行规则还不包括这一步，因此被拒绝。请询问管理员。",
		"ja": "現在の規則はこの段階をまだ扱っていないため、拒否されました。管理者に問い合わせてください。",
	}),
	{"rule": "sekisho.stage"},
) if {
	not stage_known
}

of_the_fold contains object.union(
	text.reason("tool_taken_out", [input.tool.name], {
		"en": "The model calls the tool %s, which the rules took out of the request. Ask an operator which tools you may use.",
		"zh": "模型调用了工具 %s，而规则已将其从请求中去掉。请询问管理员您可以使用哪些工具。",
		"ja": "モデルがツール %s を呼び出しましたが、規則により依頼から外されています。使えるツールを管理者に確認してください。",
	}),
	{"rule": "sekisho.obligations"},
) if {
	input.stage == "tool_call"
	deny_said == set()
	merged.allow_tools
	not input.tool.name in merged.allow_tools
}

of_the_fold contains not_understood if not input.schema == "sekisho.input/v1"

of_the_fold contains not_understood if {
	input.stage == "tool_call"
	not tool_named
}

# A name that is not there has to make these false; under `not` it would make the rule silent.
stage_known if stages[input.stage]

tool_named if named(input.tool.name)

# METADATA
# title: Not understood
# description: The contract is another one, or a tool call has no name that rules could compare.
not_understood := object.union(
	text.reason("input_not_understood", [], {
		"en": "The gateway and its rules do not fit together. Ask an operator to update one of them.",
		"zh": "网关与规则的版本不相配。请管理员更新其中之一。",
		"ja": "ゲートウェイと規則の版が合いません。管理者にどちらかの更新を依頼してください。",
	}),
	{"rule": "sekisho.input"},
)

# METADATA
# title: Holds
# description: Each rule that wants people to answer first, at whatever stage, with its terms.
holds := {{"reason": reason(speaker(said), said[2]), "terms": terms} |
	some said in hold_said
	terms := hold_terms(said[2])
}

# METADATA
# title: Held now
# description: Those of the stage asked about. Those of earlier stages were met before.
held_now := {held | some held in holds; held.terms.stage == input.stage}

# METADATA
# title: Held later
# description: Later stages at which people answer, in their order.
held_later := [stage |
	some stage in ["tool_call", "response"]
	stages[stage] > stages[input.stage]
	stage in {held.terms.stage | some held in holds}
]

# METADATA
# title: Milder
# description: Entries of packs in mode observe or warn, which refuse and hold nothing.
milder := {[mode, kind, rule, entry] |
	some pack, mode in mild_packs
	some area
	some kind in ["deny", "hold", "obligation"]
	some entry in data.packs[pack][area][kind]
	rule := concat(".", [pack, area])
}

mild_packs := {pack: mode | some pack, mode in data.modes; mode in {"observe", "warn"}}

# METADATA
# title: Observed
# description: |
#   What those packs would have done, as far as an event has room for it. Of an obligation the code
#   is its name; what cannot be read would have refused, as malformed_rule.
observed := array.slice([entry | some entry in would_have], 0, 64) if {
	mild_packs != {}
} else := []

would_have contains {"mode": mode, "effect": outcome, "code": cause.code, "rule": rule} if {
	some [mode, kind, rule, entry] in milder
	some outcome, cause in outcomes(kind, rule, entry)
}

would_have contains {"mode": mode, "effect": "obligation", "code": name, "rule": rule} if {
	some [mode, "obligation", rule, entry] in milder
	obligation_known(entry)
	some name, _ in entry
}

outcomes("deny", rule, entry) := {"deny": reason(rule, entry)}

outcomes("hold", rule, entry) := {"hold": reason(rule, entry)} if {
	stages[hold_terms(entry).stage] >= stages[input.stage]
}

outcomes("hold", rule, entry) := {"deny": malformed(rule, "hold")} if {
	not hold_terms(entry)
}

outcomes("obligation", rule, entry) := {"deny": malformed(rule, "obligation")} if {
	not obligation_known(entry)
}

# METADATA
# title: Warnings
# description: |
#   What the person is asked to give a reason for. That is asked before the request leaves; at later
#   stages it is only told.
warnings := {cause |
	some ["warn", kind, rule, entry] in milder
	some cause in outcomes(kind, rule, entry)
} if {
	mild_packs != {}
} else := set()

# METADATA
# title: Obligations
# description: What the gateway must do, merged so that the narrowest wins.
obligations := object.union_n([merged, hold_obligations, justification])

justification := {"justify": true} if {
	warnings != set()
	input.stage == "request"
} else := {}

# METADATA
# title: Asked
# description: Each obligation with a value asked for.
asked := {[name, value] | some [_, _, entry] in known; some name, value in entry}

# METADATA
# title: Distinct
# description: Whether no obligation is asked for with two values.
distinct if count(asked) == count({name | some [name, _] in asked})

# METADATA
# title: Merged
# description: Most often each is asked for once, and there is nothing to merge.
merged := {name: value | some [name, value] in asked} if {
	distinct
} else := {name: narrowest(name, values) |
	some [name, _] in asked
	values := {as_set(pair[1]) | some pair in asked; pair[0] == name}
}

# METADATA
# title: Hold obligations
# description: The terms of the stage asked about, and those of each later one.
hold_obligations := {} if {
	hold_said == set()
} else := object.union(
	{"hold": hold_of(input.stage) | held_now != set()},
	{"hold_later": [object.union(hold_of(stage), {"rules": rules_of(stage)}) |
		some stage in held_later
	] | held_later != []},
)

# METADATA
# title: Rules of
# description: Who holds a later stage; who holds this one, the reasons say.
rules_of(stage) := [rule | some rule in {held.reason.rule | some held in holds; held.terms.stage == stage}]

# METADATA
# title: Hold of
# description: The terms of all holds of a stage in one.
hold_of(stage) := object.union(
	{
		"stage": stage,
		"thresholds": [threshold | some threshold in thresholds(asking)],
		"ttl_s": min({terms.ttl_s | some terms in asking}),
		"risk": max({terms.risk | some terms in asking}),
	},
	object.union_n([
		{"no_grant": true | some terms in asking; terms.no_grant},
		{"office_time": true | every terms in asking { terms.office_time }},
		{"no_break_glass": true | some terms in asking; terms.no_break_glass},
	]),
) if {
	asking := {held.terms | some held in holds; held.terms.stage == stage}
}

# METADATA
# title: Thresholds
# description: |
#   For each group of reviewers at a step the most approvals and the fewest denials asked, and who may
#   relieve it by all who ask it. A step is told from the second on.
thresholds(asking) := {threshold |
	some [step, reviewers] in {[terms.step, terms.reviewers] | some terms in asking}
	there := {terms | some terms in asking; [terms.step, terms.reviewers] == [step, reviewers]}
	threshold := object.union(
		{
			"reviewers": reviewers,
			"approve": max({terms.approve | some terms in there}),
			"deny": min({terms.deny | some terms in there}),
		},
		object.union(
			{"step": step | step > 1},
			{"relief": relief |
				relief := sort(intersection({{group | some group in terms.relief} | some terms in there}))
				count(relief) > 0
			},
		),
	)
}

# METADATA
# title: Narrowest
# description: Of several values for one obligation, the one that restricts most.
narrowest(name, values) := min(values) if name in {"max_tokens", "retain_days", "drafts_max"}

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
# title: Reason
# description: A reason with its rule named here, so that no package speaks in another's name.
reason(rule, entry) := {
	"code": entry.code,
	"msg": entry.msg,
	"texts": object.get(entry, "texts", {}),
	"rule": rule,
} if {
	well_formed(entry)
} else := malformed(rule, "deny")

# METADATA
# title: Malformed
# description: The reason given when a rule cannot be read.
malformed(rule, kind) := object.union(
	text.reason("malformed_rule", [rule, kind], {
		"en": "A rule in packs.%s gave something that is not a valid entry of `%s`. Ask an operator.",
		"zh": "packs.%s 中的一条规则给出的内容不是有效的 `%s` 条目。请询问管理员。",
		"ja": "packs.%s の規則が `%s` として正しくない値を返しました。管理者に問い合わせてください。",
	}),
	{"rule": rule},
)

# METADATA
# title: Well formed
# description: |
#   Every entry says a code and a sentence, and in other languages sentences too, as the contract
#   wants them: what it would refuse later is refused here, where the rule is known.
well_formed(entry) if {
	is_string(entry.code)
	regex.match(`^[a-z][a-z0-9_]{0,63}$`, entry.code)
	sentence(entry.msg)
	not other_texts(object.get(entry, "texts", {}))
}

sentence(words) if {
	is_string(words)
	count(words) > 0
	count(words) <= 1000
}

other_texts(texts) if not is_object(texts)

other_texts(texts) if {
	some language, words in texts
	not readable_in(language, words)
}

readable_in(language, words) if {
	language in {"zh", "ja"}
	sentence(words)
}

# METADATA
# title: Hold terms
# description: The terms of one hold rule, filled from data.hold; undefined if they cannot be read.
hold_terms(entry) := terms if {
	well_formed(entry)
	terms := object.union(hold_settings, object.remove(entry, ["code", "msg", "texts"]))
	object.keys(terms) == {
		"stage",
		"reviewers",
		"approve",
		"deny",
		"ttl_s",
		"risk",
		"no_grant",
		"office_time",
		"step",
		"no_break_glass",
		"relief",
	}
	stages[terms.stage]
	named(terms.reviewers)
	whole(terms.approve, 1, 20)
	whole(terms.deny, 1, 20)
	whole(terms.ttl_s, 1, 604800)
	whole(terms.risk, 0, 100)
	whole(terms.step, 1, 8)
	is_boolean(terms.no_grant)
	is_boolean(terms.office_time)
	is_boolean(terms.no_break_glass)
	is_array(terms.relief)
	count(terms.relief) <= 8
	every group in terms.relief {
		named(group)
		group != terms.reviewers
	}
}

named(value) if {
	is_string(value)
	count(value) > 0
	count(value) <= 256
}

whole(value, least, most) if {
	is_number(value)
	value >= least
	value <= most
	round(value) == value
}

# METADATA
# title: Hold settings
# description: Who answers and how long they have, as data.yaml says.
hold_settings := object.union(
	{
		"stage": "request",
		"reviewers": "reviewer",
		"approve": 1,
		"deny": 1,
		"ttl_s": 86400,
		"risk": 50,
		"no_grant": false,
		"office_time": false,
		"step": 1,
		"no_break_glass": false,
		"relief": [],
	},
	object.remove(data.hold, ["models", "budget_percent"]),
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

obligation_fits("max_tokens", value) if whole(value, 1, 10000000)

obligation_fits("drafts_max", value) if whole(value, 1, 100)

obligation_fits("retain_days", value) if whole(value, 0, 3650)

obligation_fits(name, value) if {
	name in {"allow_tools", "redact", "notify"}
	is_array(value)
	every member in value {
		is_string(member)
	}
}

obligation_fits(name, value) if {
	name in {"label_output", "justify", "review_response"}
	is_boolean(value)
}

obligation_fits("route", value) if named(value)

obligation_fits("log_level", value) if value in log_levels

# METADATA
# title: As set
# description: Lists are merged as sets.
as_set(value) := {member | some member in value} if is_array(value)

as_set(value) := value if not is_array(value)
