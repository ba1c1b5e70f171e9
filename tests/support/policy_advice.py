"""What to do about each reason code of policy: the last column of docs/reference/policy.md.

For the person refused and for whoever explains it. A house test demands a line for every code that
shipped rules, the fold or the gateway can give, and none for others; what a code of a rule means is
read from its METADATA, that of the gateway's own stands here, as do the causes of silence.
"""

from __future__ import annotations

MEANS = {
    "obligation_unsupported": "The rules ask for something that this gateway cannot do.",
    "policy_malformed": "The rules gave an answer outside the contract.",
    "policy_undefined": "The rules gave no answer, or contradict each other.",
}

CAUSES = {
    "broken": "The engine itself failed, for example for want of memory.",
    "late": "No answer within `[policy] deadline_ms`: rules that take too long, or a busy machine.",
    "not_loaded": "No rules are loaded: `sekisho policy check` says why.",
    "suspect": "Three decisions never ended, so the worker is replaced: mend the rules.",
}

WHAT_TO_DO = {
    "assistant_not_allowed": "Ask one of your list. Operators: `assistants.<name>.groups`.",
    "attachment_not_scanned": "Send the text; or ask for a group that may send attachments.",
    "budget_held": "Wait for the reviewer. Operators: `hold.budget_percent` in data.yaml.",
    "client_answer": "Wait for the supervisor. Operators: `sectors.finance.answers_reviewed`.",
    "client_communication": "Wait for the supervisor, or take the advice out.",
    "credential_found": "Take the secret out. If it is real, replace it: it was typed somewhere.",
    "entity_denied": "Take the personal data out, or write a placeholder for it.",
    "entity_held": "Wait for the reviewer, or take the personal data out and ask again.",
    "halted": "Ask an operator when requests resume.",
    "hosted_tool": "Take the named tool out. Operators: `hosted_tools.allowed` in data.yaml.",
    "information_barrier": "Take the passage out; tell compliance how you came by it.",
    "input_not_understood": "Operators: gateway and rules are of different releases; update one.",
    "label_denied": "Do what the message says, which data.yaml gives for each label.",
    "label_held": "Wait for the reviewer, or take the passage out and ask again.",
    "malformed_rule": "Operators: `sekisho policy eval --explain` shows what the rule gave.",
    "many_clients": "Wait for the reviewer, or send fewer people's data at once.",
    "many_people": "Wait for the reviewer, or send fewer people's data at once.",
    "model_allowed": "Nothing: it says why the request may go.",
    "model_held": "Wait for the reviewer, or ask another model.",
    "model_not_allowed": "Ask a model of your list (`GET /v1/models`), or an operator.",
    "no_person": "Ask with a key of your own. Operators: `sectors.government.services`.",
    "not_allowed": "Ask an operator which models your group may use.",
    "not_treating": "Take what is about the patient out.",
    "obligation_conflict": "Operators: two rules name different backends in `route`.",
    "obligation_unsupported": "Operators: take it out; the table above has what there is.",
    "outside_hours": "Ask again in your group's hours. Operators: `groups.<group>.hours`.",
    "patient_answer": "Wait for the reviewer. Operators: `sectors.healthcare.answers_reviewed`.",
    "personal_data_abroad": "Take the personal data out, or ask a model in the region.",
    "picture_leaves": "Ask a model on the premises, or send the text.",
    "policy_malformed": "Operators: `sekisho policy eval` with the recorded input shows it.",
    "policy_undefined": "Operators: `sekisho policy check`, then `eval` with the recorded input.",
    "principal_blocked": "Ask an operator why you are blocked.",
    "principal_unknown": "Ask an operator to put you into a group.",
    "records_too_short": "Operators: `records` in data.yaml keeps less than the sector asks for.",
    "stage_not_supported": "Operators: gateway and rules are of different releases; update one.",
    "state_secret": "Take it out and tell your security officer.",
    "tool_call_held": "Wait for the reviewer. Operators: `ladder` in data.yaml.",
    "tool_call_long": "Wait for the reviewer, or ask for less at a time.",
    "tool_calls_off": "Ask without tools. Operators: `ladder` in data.yaml.",
    "tool_held": "Wait for the reviewer, or leave the tool out.",
    "tool_not_allowed": "Take the tool out of the request.",
    "tool_not_offered": "Ask again, or another model: this one made the tool up.",
    "tool_not_on_list": "Ask without this tool. Operators: `ladder` in data.yaml.",
    "tool_taken_out": "Ask without this tool. Operators: a rule gives `allow_tools` without it.",
    "tools_after_hours": "Leave the tools out, or ask in office hours.",
    "tools_near_patients": "Leave the tools out.",
    "training_missing": "Take the training; an operator then records it in the directory.",
    "training_over": "Take the training again; an operator then records it.",
    "unknown_field": "Take the member out. Operators: `unknown_fields.allowed` in data.yaml.",
    "unknown_model": "Look for a slip in the name (`GET /v1/models`).",
    "whole_record": "Wait for the reviewer, or send the part that the question needs.",
}
