"""What the ledger holds beside exchanges: who may what, which rules are in force, the writer."""

from __future__ import annotations

from collections.abc import Mapping

from sekisho_audit.halt_rules import SCOPES
from sekisho_audit.kinds import (
    FLAG,
    NUMBER,
    PERSON,
    RETAINED,
    TEXT,
    TEXTS,
    EventType,
    Field,
    one_of,
)

_TIME = "microseconds since 1970, UTC"
_ANCHOR = Field(TEXT, "Name of the anchor in the settings.")
_ANCHOR_KIND = Field(TEXT, "`pin`, `witness` or `rfc3161`.")
_BOOT = Field(TEXT, "Id of the writer's start.")
_BUNDLE = Field(TEXT, "Where the revision came from.")
_CHANNEL = Field(TEXT, "Name of the channel in the settings.")
_CAUSE = Field(TEXT, "Why, as a stable code.")
_ENDS = Field(NUMBER, "When the key ends.", _TIME)
_GROUPS = Field(TEXTS, "The groups of the principal, the first 64.")
_HALT = Field(TEXT, "Id of the event `halt.set`.")
_ISSUER = Field(TEXT, "Name of the issuer in the settings.")
_KEY = Field(TEXT, "Public id of the key; never the secret.")
_REVISION = Field(TEXT, "The policy revision.")
_ROLES = Field(TEXTS, "The roles of the principal, from all sources.")
_ROOT = Field(TEXT, "Root hash over so many events, in hex.")
_SECOND = Field(PERSON, "The second officer, who agreed.")
_SESSION = Field(TEXT, "Id of the worker's session.")
_SIZE = Field(NUMBER, "How many events a checkpoint is over.", "events")
_SIZE_PRUNED = Field(NUMBER, "How many leaves are gone: the first that stays.", "events")
_SOURCE = {"source": "the network address"}

_PEOPLE: Mapping[str, EventType] = {
    "credential.refused": EventType(
        "Somebody was not let in; the payload `source` is the address, `count` how often since "
        "the last record of it.",
        {
            "cause": _CAUSE,
            "count": Field(NUMBER, "How often since the last record of it.", "refusals"),
        },
        {
            "credential": Field(TEXT, "Public name of what was shown, if it has one."),
            "where": Field(TEXT, "The entrance, e.g. `sign-in`."),
        },
        payloads=_SOURCE,
        exchange=False,
    ),
    "session.signed_in": EventType(
        "A person signed in for pages; the payload `source` is the address.",
        {"issuer": _ISSUER},
        payloads=_SOURCE,
        exchange=False,
    ),
    "session.signed_out": EventType(
        "A person signed out, or was signed out.", {"cause": _CAUSE}, exchange=False
    ),
    "key.created": EventType(
        "An API key was made for `principal`; `replaces` is the key it takes over from.",
        {"key": _KEY},
        {
            "label": Field(TEXT, "What its owner calls it."),
            "expires_us": _ENDS,
            "roles": _ROLES,
            "groups": _GROUPS,
            "scopes": Field(TEXTS, "What it may be used for; without it, everything."),
            "models": Field(TEXTS, "Patterns of models that it may ask; without it, any."),
            "replaces": Field(TEXT, "Public id of the key it takes over from."),
        },
        exchange=False,
    ),
    "key.revoked": EventType(
        "An API key was revoked, or ends at `expires_us` because another takes over.",
        {"key": _KEY},
        {"cause": _CAUSE, "expires_us": _ENDS},
        exchange=False,
    ),
    "principal.changed": EventType(
        "Roles, groups, owner or state of `principal` changed; `source` says who decides them: "
        "`local`, an issuer, or `scim`.",
        {},
        {
            "roles": _ROLES,
            "groups": _GROUPS,
            "owner": Field(PERSON, "Who owns this service account."),
            "kind": Field(TEXT, "`person` or `service`."),
            "disabled": Field(FLAG, "Whether it is shut out."),
            "change": Field(TEXT, "What happened, e.g. `created`, `granted`, `state`, `left`."),
            "source": Field(TEXT, "Who decided: `local`, `issuer:` and its name, `scim`."),
            "training_until_us": Field(NUMBER, "How long its training is good for.", _TIME),
        },
        exchange=False,
    ),
    "principal.linked": EventType(
        "An identity elsewhere now means `principal`, or (`linked` false) does not any more; the "
        "payload `subject` is its name there.",
        {"issuer": _ISSUER, "linked": Field(FLAG, "Whether the link is there now.")},
        payloads={"subject": "the name of the identity at its issuer"},
        exchange=False,
    ),
    "delegation.changed": EventType(
        "`principal` lent a role to `delegate` for a time, or (`ended`) took it back.",
        {
            "delegation": Field(TEXT, "Id of the delegation."),
            "delegate": Field(PERSON, "Who may act with the role."),
            "role": Field(TEXT, "The role that is lent."),
            "ended": Field(FLAG, "Whether it was taken back."),
        },
        {
            "from_us": Field(NUMBER, "When it begins.", _TIME),
            "until_us": Field(NUMBER, "When it ends.", _TIME),
        },
        exchange=False,
    ),
}

_POLICY: Mapping[str, EventType] = {
    "policy.drafted": EventType(
        "`actor` put a revision of policy in, as one of its authors. Nothing is in force by that.",
        {
            "revision": _REVISION,
            "contents": Field(TEXT, "The digest of all its files, tests too."),
        },
        {
            "bundle": _BUNDLE,
            "commit": Field(TEXT, "The signed commit in git that the files come from."),
            "signer": Field(PERSON, "Who signed it: an author as well."),
        },
        exchange=False,
        actor=True,
    ),
    "policy.replayed": EventType(
        "Recorded decisions were decided again by `revision`, and compared with what `previous` "
        "decides; `actor` took the report on record.",
        {
            "revision": _REVISION,
            "previous": Field(TEXT, "The revision that is compared with."),
            "decisions": Field(NUMBER, "How many recorded decisions.", "decisions"),
            "denied": Field(NUMBER, "How many would newly be denied.", "decisions"),
            "held": Field(NUMBER, "How many would newly be held.", "decisions"),
            "freed": Field(NUMBER, "How many would newly be let go.", "decisions"),
            "unread": Field(NUMBER, "How many inputs nobody can open any more.", "decisions"),
            "since_us": Field(NUMBER, "From when on.", _TIME),
        },
        exchange=False,
        actor=True,
    ),
    "policy.activated": EventType(
        "A policy revision became active; `actor` put it in force.",
        {"revision": _REVISION},
        {
            "previous": Field(TEXT, "The revision that was active before."),
            "bundle": _BUNDLE,
            "engine": Field(TEXT, "What evaluates it, e.g. `opa-embedded`."),
            "cause": _CAUSE,
            "report": Field(TEXT, "Id of the event `policy.replayed` that was before it."),
            "tests": Field(NUMBER, "How many of its own tests passed.", "tests"),
        },
        exchange=False,
    ),
    "policy.shadow_changed": EventType(
        "From now on `revision` decides beside the one in force, and nothing follows from it; or "
        "(`ended`) no longer.",
        {"revision": _REVISION, "ended": Field(FLAG, "Whether it decides no longer.")},
        exchange=False,
        actor=True,
    ),
    "policy.loaded": EventType(
        "A running worker took a revision that was put in force: it built it, asked what must be "
        "denied, and decides by it from here on.",
        {"revision": _REVISION, "session": _SESSION},
        {"previous": Field(TEXT, "The revision that this worker had before.")},
        exchange=False,
    ),
    "policy.rejected": EventType(
        "A policy revision was refused; the active one stays.",
        {"revision": _REVISION},
        {
            "faults": Field(TEXTS, "What is wrong with it."),
            "bundle": _BUNDLE,
            "cause": _CAUSE,
            "session": Field(TEXT, "The worker that could not take it, if it was one."),
        },
        exchange=False,
    ),
}

_OFFICERS: Mapping[str, EventType] = {
    "officer.changed": EventType(
        "Who may use payload keys changed, in the directory of keys: `principal` has these duties "
        "from now on, or (`removed`) none. Recorded before anybody can use them.",
        {
            "credential": Field(TEXT, "Public name of the secret; a new secret has another one."),
            "duties": Field(TEXTS, "What the officer may do, e.g. `disclose`, `erase`."),
            "removed": Field(FLAG, "Whether the office ended."),
        },
        exchange=False,
    ),
    "audit.disclosed": EventType(
        "The officer `actor` was given content of exchanges, or of one event; recorded before it "
        "was opened. Beside it stands a `record.read` for each exchange of whose content it is.",
        {
            "first": Field(NUMBER, "The first event of which content was given.", "index"),
            "last": Field(NUMBER, "The last one.", "index"),
            "payloads": Field(NUMBER, "How many payloads were asked for.", "payloads"),
            "exchanges": Field(NUMBER, "Of how many exchanges.", "exchanges"),
            "keys": Field(FLAG, "Whether keys were given instead of texts."),
        },
        {"second": _SECOND},
        payloads={"purpose": "what for", "ticket": "by whose order, e.g. a case number"},
        exchange=False,
        actor=True,
    ),
    "officer.paired": EventType(
        "From now on these duties, and no others, need two officers at once.",
        {"duties": Field(TEXTS, "All of them.")},
        exchange=False,
    ),
}

_CUSTODY: Mapping[str, EventType] = {
    "legal_hold.set": EventType(
        "From now on nothing of `person`, or (with an exchange) nothing of that exchange, is "
        "erased or ended by retention; the id of this event is the name of the hold.",
        {"person": Field(PERSON, "Whose content is kept.")},
        {"second": _SECOND},
        payloads={"authority": "by whose order"},
        exchange=False,
        actor=True,
    ),
    "legal_hold.released": EventType(
        "A legal hold ended.",
        {"hold": Field(TEXT, "Id of the event `legal_hold.set`.")},
        {"second": _SECOND},
        payloads={"authority": "by whose order"},
        exchange=False,
        actor=True,
    ),
    "audit.pruned": EventType(
        "The leaves below `size` are about to be removed; their hashes stay. What they leave "
        "behind for the rules is in the file `pruned/state`. What is begun is finished, also "
        "after a crash.",
        {
            "size": _SIZE_PRUNED,
            "root": _ROOT,
            "state": Field(TEXT, "SHA-256 of the file `pruned/state`, in hex."),
            "days": Field(NUMBER, "How long leaves are kept at least.", "days"),
            "newest_us": Field(NUMBER, "The latest `ts` of the leaves that go.", _TIME),
            "counted_us": Field(NUMBER, "From when the days were counted back.", _TIME),
        },
        {"second": _SECOND},
        payloads={"authority": "by whose order"},
        exchange=False,
        actor=True,
    ),
    "erasure.begun": EventType(
        "The keys of `person` are about to be destroyed: from then on the pseudonym stands for "
        "nobody. What is begun is finished, also after a crash.",
        {
            "person": Field(PERSON, "Who is erased."),
            "keys": Field(NUMBER, "How many keys there are.", "keys"),
            "holds": Field(NUMBER, "How many open holds were withdrawn before.", "holds"),
        },
        {"second": _SECOND},
        payloads={"purpose": "what for", "ticket": "by whose order, e.g. a case number"},
        exchange=False,
        actor=True,
    ),
    "erasure.done": EventType(
        "Keys, pseudonym and rows of somebody are gone.",
        {
            "begun": Field(TEXT, "Id of the event `erasure.begun`."),
            "keys": Field(NUMBER, "How many keys were destroyed since.", "keys"),
            "rows": Field(NUMBER, "How many rows of indexes were deleted.", "rows"),
        },
        {
            "cause": Field(
                TEXT, "Why it was done by itself: `restart`, or `restored`: old keys came back."
            )
        },
        exchange=False,
    ),
}

_RETENTION: Mapping[str, EventType] = {
    "retention.begun": EventType(
        "The ceilings of classes of content as they are from now on, and what is over: those keys "
        "are about to be destroyed. What is begun is finished, also after a crash. Nothing is "
        "written if nothing is over and no ceiling changed. `actor`, if an officer asked for it.",
        {"classes": Field(RETAINED, "All classes.")},
        {"second": _SECOND},
        exchange=False,
    ),
    "retention.applied": EventType(
        "The keys of what was over are destroyed, and their texts are in no index.",
        {
            "begun": Field(TEXT, "Id of the event `retention.begun`."),
            "classes": Field(RETAINED, "All classes, with the keys that were destroyed."),
            "texts": Field(NUMBER, "How many texts went from the search index.", "texts"),
        },
        {"cause": Field(TEXT, "`restart`: a start finished what had been cut off.")},
        exchange=False,
    ),
}

_LEDGER: Mapping[str, EventType] = {
    "log.read": EventType(
        "`actor` was given entries of the published log: `count` of them from `first` on.",
        {
            "first": Field(NUMBER, "Index of the first entry.", "index"),
            "count": Field(NUMBER, "How many entries.", "entries"),
        },
        {
            "state": Field(
                TEXT, "Hash of a pruned ledger's `pruned/state`, of which a piece was given."
            )
        },
        exchange=False,
        actor=True,
    ),
    "audit.export": EventType(
        "`actor` was given a selection of the ledger; durable before the first event of it left. "
        "`root` fixes which events, in their order.",
        {
            "format": Field(one_of("csv", "jsonl", "parquet", "bundle"), "What was made of it."),
            "found": Field(
                NUMBER, "What the query found: exchanges, and events that belong to none.", "trails"
            ),
            "events": Field(NUMBER, "How many events that are.", "events"),
            "size": Field(NUMBER, "How many events the ledger had for the query.", "events"),
            "root": Field(TEXT, "RFC 6962 root over the hashes of these leaves, in hex."),
        },
        {"second": Field(PERSON, "The second officer, who agreed.")},
        payloads={"query": "what was asked for", "purpose": "why, in the words of who asked"},
        optional_payloads={"ticket": "the number of a case elsewhere"},
        exchange=False,
        actor=True,
    ),
    "audit.search": EventType(
        "`actor` searched the ledger; recorded before the answer was told.",
        {
            "kind": Field(
                one_of("page", "facets", "figures"),
                "Whether a page was asked for, counts, or how people review.",
            ),
            "found": Field(
                NUMBER,
                "How many were told, or counted (`figures`: answers of reviewers).",
                "trails",
            ),
            "indexed": Field(NUMBER, "How far the index had read the ledger.", "events"),
        },
        payloads={"query": "what was asked"},
        exchange=False,
        actor=True,
    ),
    "session.opened": EventType(
        "A worker process connected.",
        {"session": _SESSION, "pid": Field(NUMBER, "The worker.", "process id")},
        exchange=False,
    ),
    "session.closed": EventType(
        "A worker process ended or was gone too long; its open intents were closed before.",
        {"session": _SESSION, "cause": _CAUSE},
        exchange=False,
    ),
    "audit.boot": EventType(
        "The writer started; `last` is the index before this event, `cut` the torn bytes removed.",
        {
            "boot": _BOOT,
            "last": Field(NUMBER, "Index of the event before, -1 if there is none.", "index"),
            "cut": Field(NUMBER, "What was torn and therefore removed.", "bytes"),
        },
        exchange=False,
    ),
    "audit.recovered": EventType(
        "A torn tail was cut at start: records that nobody had been told were durable.",
        {
            "file": Field(TEXT, "The segment that was cut."),
            "bytes": Field(NUMBER, "What was removed.", "bytes"),
        },
        exchange=False,
    ),
    "audit.key_rotated": EventType(
        "From this event on checkpoints are signed by `new`; `note` is signed by both keys.",
        {
            "old": Field(TEXT, "The key that signed so far, as a C2SP verifier key."),
            "new": Field(TEXT, "The key that signs from here on."),
            "note": Field(TEXT, "What both signed: the checkpoint before this, and the new key."),
        },
        exchange=False,
    ),
    "audit.rolled_back": EventType(
        "An old copy of the ledger was restored and somebody decided to go on with it: events up "
        "to `size` had been signed, under `root`.",
        {"size": _SIZE, "root": _ROOT},
        exchange=False,
    ),
    "anchor.made": EventType(
        "Somebody elsewhere vouches for the checkpoint over `size` events.",
        {
            "anchor": _ANCHOR,
            "kind": _ANCHOR_KIND,
            "size": _SIZE,
            "root": _ROOT,
            "evidence": Field(TEXT, "SHA-256 of the file of evidence, in hex."),
        },
        {
            "time_us": Field(NUMBER, "The time that the evidence states.", _TIME),
            "failed": Field(NUMBER, "Attempts that failed since the last one.", "attempts"),
        },
        exchange=False,
    ),
    "anchor.failed": EventType(
        "An anchor could not be had; the first time of a row, later ones are counted.",
        {"anchor": _ANCHOR, "kind": _ANCHOR_KIND, "cause": _CAUSE, "size": _SIZE},
        exchange=False,
    ),
    "audit.shutdown": EventType(
        "The writer stopped cleanly; nothing is open.", {"boot": _BOOT}, exchange=False
    ),
}

_NOTIFICATIONS: Mapping[str, EventType] = {
    "notification.tested": EventType(
        "`actor` sent a test message to a channel; recorded before it was sent.",
        {"channel": _CHANNEL},
        exchange=False,
        actor=True,
    ),
    "notification.given_up": EventType(
        "Nobody was told over a channel: a message did not get there in its time, or there was no "
        "room for it.",
        {
            "channel": _CHANNEL,
            "notification": Field(TEXT, "Id of the message."),
            "moment": Field(TEXT, "What it was about: `filed`, `reminder`, `settled` and so on."),
            "attempts": Field(NUMBER, "How often it was tried.", "attempts"),
            "cause": _CAUSE,
        },
        {
            "hold": Field(TEXT, "Id of the hold."),
            "about": Field(TEXT, "Id of the exchange, where nothing is held."),
        },
        exchange=False,
    ),
}

_HALTS: Mapping[str, EventType] = {
    "halt.set": EventType(
        "The operator `actor` stopped everything, or what one team, backend, model or tool does; "
        "the id of this event is the name of the switch. No intent for it follows until it is "
        "lifted.",
        {
            "scope": Field(one_of(*SCOPES), "What kind of thing is stopped."),
            "name": Field(TEXT, "Which one; `*` stands for any part of it; empty for `all`."),
        },
        payloads={"reason": "why, as it is told to whoever is stopped"},
        exchange=False,
        actor=True,
    ),
    "halt.lift_proposed": EventType(
        "The operator `actor` wants a switch lifted; nothing is lifted by that.",
        {"halt": _HALT},
        payloads={"reason": "why"},
        exchange=False,
        actor=True,
    ),
    "halt.lifted": EventType(
        "A switch ended: the operator `actor` confirmed what another person had proposed.",
        {"halt": _HALT, "proposed": Field(TEXT, "Id of the event `halt.lift_proposed`.")},
        exchange=False,
        actor=True,
    ),
}

INSTALLATION_EVENTS: Mapping[str, EventType] = {
    **_PEOPLE,
    **_POLICY,
    **_OFFICERS,
    **_CUSTODY,
    **_RETENTION,
    **_HALTS,
    **_LEDGER,
    **_NOTIFICATIONS,
}
