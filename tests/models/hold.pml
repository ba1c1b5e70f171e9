/* One hold, two workers, two reviewers, a ledger, a store that forgets: what holding/, resume.py,
 * redis_holds.py with lua/, and auditd's rules of holds do. docs/explain/holds.md says what this
 * proves and what it leaves out; test_hold_model.py runs it.
 *
 * A step between two labels is what happens at once in the code: one script in Valkey, one append
 * at auditd. Everything else may happen in between, and a worker may die at every `mortal()`.
 *
 * A world is made by variables of the environment, so that one build serves all:
 *   ANSWER      0 the hold is of a request, 1 of an answer (it can be edited, and is given out)
 *   NEED, DENY  approvals asked for, and denials that end it: 1 or 2
 *   STEPS       1 reviewers are asked in order: who is 0 first, who is 1 when that one approved
 *   LAX         1 auditd checks nothing and writes what it is told: then the store stands alone
 *   CRASHES     workers that die      RESTARTS  of Valkey, with all its data or with none
 *   OLDER       1 it may also come back with an older copy of them (a replica that took over)
 *   FAILS       appends that fail: auditd never had them, or their reply is lost
 *   LATE_LEASES that end although their worker lives          TRIES  answers of reviewers
 *   EDITS  WITHDRAWALS  REFUSALS (by the rules, asked again)  MORES (they want more reviews)
 *   FAULT       which planted fault there is, by its number below; 0 none
 */

#define NO_COMPARE_AND_SET (fault == 1)          /* a decision is taken whatever the state is */
#define NO_CLAIM (fault == 2)                    /* an approval is sent by whoever finds it */
#define FAIL_OPEN (fault == 3)                   /* no ledger: go on */
#define RELEASED_BEFORE_RECORDED (fault == 4)    /* published first, appended then */
#define SECOND_INTENT (fault == 5)               /* auditd takes two for one approval */
#define NO_LEASE (fault == 6)                    /* a claim never ends by itself */
#define STALE_REVIEW_COUNTS (fault == 7)         /* a review of a version before is taken */
#define OLD_REVIEWS_COUNT (fault == 8)           /* an edit leaves the reviews there were */
#define RESTORED_FORGETS (fault == 9)            /* what is restored is pending */
#define BELIEVED_AT_ONCE (fault == 10)           /* a restarted store is opened as it is */
#define LOST_CLAIM_SENT_AGAIN (fault == 11)      /* a lost claim of a request is given to another */
#define ANYBODY_FINISHES (fault == 12)           /* also who lost the claim */
#define SILENCE_APPROVES (fault == 13)           /* at its end a hold is approved */
#define NOBODY_FINISHES (fault == 14)            /* what a dead worker had begun */
#define NEVER_GIVEN_UP (fault == 15)             /* a proposal that the ledger refuses */
#define SECOND_OUTCOME (fault == 16)             /* auditd takes two for one version */
#define SENT_ALL_THE_SAME (fault == 17)          /* people are asked anew, and it is sent */
#define CLAIMED_UNREAD (fault == 19)             /* another version than was read */
#define LEFT_BEHIND (fault == 18)                /* what is older than the ledger, and approved */
#define OUT_OF_TURN (fault == 20)                /* whoever is asked later answers already */
#define EDITED_UNREAD (fault == 21)              /* an edit at another step than was read */

bool answer, lax, older, ordered;
byte need, deny, fault;

c_decl {
  static int told(const char *name) { const char *said = getenv(name); return said ? atoi(said) : 0; }
}

/* Zero is "nothing". */
mtype = {
  pending, deciding, approved, denied, expired, withdrawn,
  dispatching, ready, failed, unknown, delivered,
  review, expire, withdraw, edit, anew
};
#define YES 1
#define NO 2

/* The hold in Valkey. `seat` has the reviews of this version, `kind` to `at` the proposal; `at` is
 * the step that was open when its maker read the hold.
 */
typedef Kept {
  mtype state; byte version; byte seat[2];
  mtype kind; byte who; byte says; byte from; byte at;
  byte claim; bool leased
};
Kept store;
Kept copy;                        /* an older copy of it, with OLDER */
bool copied;
bool open = true;                 /* the gate: scripts are loaded, the ledger was applied */
byte generation;                  /* of Valkey: one more with each restart */

/* What the ledger has. It loses nothing. */
byte filed = 1;                   /* the last version */
byte said[2];                     /* reviews of it */
mtype settled;
bool intent, outcome, released;

bool late, lapsed;                /* the time to decide is over; the approval's time is over */
byte holder[2];                   /* the claim at which each worker is, 0 for none */
bool fresh[2];                    /* an outcome was published since it read the ledger */

byte crashes, restarts, fails, late_leases, tries, edits, withdrawals, refusals, mores;

/* What must never become true, or more than one. Nothing in the model reads these. */
bool two_decisions, unreviewed, changed, unordered;
byte sent, given;
mtype published, ended;

#define OVER(s) (s == denied || s == expired || s == withdrawn || s == ready || s == failed \
                 || s == unknown || s == delivered)

/* The step that is open, by the reviews of the version: in Valkey, and in the ledger. */
#define step_open (ordered -> (store.seat[0] == YES -> 2 : 1) : 0)
#define step_recorded (ordered -> (said[0] == YES -> 2 : 1) : 0)
#define READS_ITS_STEP (at == step_open || (kind != review && kind != edit) || \
                        (kind == review && OUT_OF_TURN) || (kind == edit && EDITED_UNREAD))

#define approvals_recorded ((said[0] == YES) + (said[1] == YES))

inline become(s) {
  store.state = s;
  if
  :: ended != 0 && s != ended && !(ended == ready && s == delivered) -> changed = true
  :: else
  fi;
  if
  :: OVER(s) -> ended = s
  :: else
  fi
}

inline publish(s) {
  fresh[0] = true; fresh[1] = true;
  if
  :: published != 0 && published != s -> two_decisions = true
  :: else -> published = s
  fi;
  become(s)
}

/* Something leaves for the backend, or an answer for who asked: was it recorded and reviewed? */
inline leaves(v, recorded) {
  if
  :: settled != approved || filed != v || approvals_recorded < need || !recorded ->
     unreviewed = true
  :: else
  fi
}

inline no_proposal() {
  store.kind = 0; store.who = 0; store.says = 0; store.from = 0; store.at = 0
}

/* What the reviews known to a worker make of the hold: tally.py. */
inline count(one, other) {
  if
  :: (one == NO) + (other == NO) >= deny -> out = denied
  :: else ->
     if
     :: (one == YES) + (other == YES) >= need -> out = approved
     :: else -> out = pending
     fi
  fi
}

inline write_outcome(s) {
  if
  :: settled != 0 && settled != s -> two_decisions = true
  :: else
  fi;
  settled = s
}

#define NEW_VERSION (kind == edit || kind == anew)

/* What people are asked anew has the time of a new hold; an edit has what is left. */
inline in_time() {
  if
  :: kind == anew -> late = false; lapsed = false
  :: else
  fi
}

/* Whose turn was it, and does an edit void what its maker has not read? */
inline note_turn() {
  if
  :: ordered && kind == review && said[who] == 0 && who + 1 != step_recorded -> unordered = true
  :: ordered && kind == edit && at != step_recorded -> unordered = true
  :: else
  fi
}

/* One batch at auditd: the review, or the new version, with the outcome it leads to.
 * `refused`: it has another, and the hold is restored from it. */
inline append_decision() {
  refused = false;
  if
  :: kind == review ->
     seats[0] = seat0; seats[1] = seat1; seats[who] = says;
     count(seats[0], seats[1])
  :: kind == expire -> out = (SILENCE_APPROVES -> approved : expired)
  :: kind == withdraw -> out = withdrawn
  :: kind == edit || kind == anew -> out = pending
  fi;
  if
  :: lax && filed != version            /* of a version before, or the same once more */
  :: lax && filed == version && NEW_VERSION ->
     note_turn();
     filed = version + 1; said[0] = 0; said[1] = 0; settled = 0; published = 0; in_time()
  :: lax && filed == version && !NEW_VERSION ->
     if
     :: kind == review -> note_turn(); said[who] = says
     :: else
     fi;
     if
     :: out != pending -> write_outcome(out)
     :: else
     fi
  :: !lax && NEW_VERSION ->
     if
     :: filed == version + 1
     :: filed == version && (settled == 0 || settled == approved) && !intent && !released &&
        !(kind == edit && at != step_recorded) ->
        note_turn();
        filed = version + 1; said[0] = 0; said[1] = 0; settled = 0; published = 0; in_time()
     :: else -> refused = true
     fi
  :: !lax && !NEW_VERSION ->
     if
     :: filed != version -> refused = true
     :: filed == version && settled != 0 && SECOND_OUTCOME && out != pending ->
        said[who] = (kind == review -> says : said[who]);
        write_outcome(out)
     :: filed == version && settled != 0 && !(SECOND_OUTCOME && out != pending) ->
        refused = (settled != out || (kind == review && said[who] != says))
     :: filed == version && settled == 0 ->
        if
        :: kind == review && said[who] != 0 && said[who] != says ->
           /* One id, other words: what is written of it are the outcome, if that may stand. */
           refused = true;
           if
           :: out == denied -> write_outcome(out)
           :: else
           fi
        :: kind == review && out == approved &&
           ((said[1 - who] == NO && deny == 1) || seats[1 - who] != said[1 - who]) -> refused = true
        :: kind == review && ordered && said[who] == 0 && who + 1 != step_recorded -> refused = true
        :: else ->
           if
           :: kind == review -> note_turn(); said[who] = says
           :: else
           fi;
           if
           :: out != pending -> write_outcome(out)
           :: else
           fi
        fi
     fi
  fi
}

/* settle.lua. */
inline settle_it() {
  if
  :: open && store.state == deciding && store.kind == kind && store.who == who &&
     store.says == says && store.from == version ->
     no_proposal();
     if
     :: kind == review -> store.seat[who] = says
     :: NEW_VERSION ->
        store.version = version + 1;
        store.seat[0] = (OLD_REVIEWS_COUNT -> store.seat[0] : 0);
        store.seat[1] = (OLD_REVIEWS_COUNT -> store.seat[1] : 0);
        published = 0
     :: else
     fi;
     if
     :: out == pending -> become(pending)
     :: else -> publish(out)
     fi
  :: else
  fi
}

/* The same, for a proposal that the ledger will never take. */
inline give_up() {
  if
  :: open && store.state == deciding && store.kind == kind && store.who == who &&
     store.says == says && store.from == version ->
     no_proposal();
     if
     :: kind == anew -> become(failed)
     :: else -> become(pending)
     fi
  :: else
  fi
}

/* The ledger is read... */
inline read_ledger() {
  version = filed; seat0 = said[0]; seat1 = said[1];
  if
  :: settled == 0 || RESTORED_FORGETS -> out = pending
  :: settled != 0 && !RESTORED_FORGETS && !answer && intent -> out = (outcome -> failed : unknown)
  :: settled != 0 && !RESTORED_FORGETS && (answer || !intent) -> out = settled
  fi;
  fresh[me] = false
}

inline add_review(n, what) {
  if
  :: what != 0 && version == store.version && store.seat[n] == 0 &&
     !(out == pending && store.state == deciding && store.kind == review && store.who == n &&
          store.says == what && store.from == version) -> store.seat[n] = what
  :: else
  fi
}

#define BEFORE_SENT (store.state == pending || store.state == deciding || \
                     ((store.state == approved || store.state == dispatching) && !LEFT_BEHIND))
#define ASKED_ANEW (store.kind == anew && version == store.version && out == approved)

/* ... and applied: restore.lua. It may run while the gate is open. */
inline restore() {
  if
  :: store.state == 0 ->
     store.state = pending; store.version = version;
     store.seat[0] = 0; store.seat[1] = 0;
     fresh[me] = false
  :: BEFORE_SENT && store.version < version ->
     no_proposal();
     store.claim = 0; store.leased = false;
     store.seat[0] = 0; store.seat[1] = 0;
     store.version = version;
     store.state = pending;
     published = 0
  :: else
  fi;
  add_review(0, seat0);
  add_review(1, seat1);
  if
  :: store.state == deciding && (out == pending || ASKED_ANEW)
  :: store.state == approved && out == pending && fresh[me]
  :: store.state != pending && store.state != deciding && store.state != approved
  :: store.state == out && out != pending
  :: store.state == pending && out == pending -> become(pending)
  :: store.state == approved && out == pending && !fresh[me] -> become(pending)
  :: (store.state == pending || store.state == deciding || store.state == approved) &&
     out != pending && out != store.state && !(store.state == deciding && ASKED_ANEW) ->
     no_proposal();
     if
     :: out == failed || out == unknown -> become(out)
     :: else -> publish(out)
     fi
  fi
}

#define READ (store.version == saw || CLAIMED_UNREAD)

/* What auditd must have before a request or an answer leaves, and whether it takes it. */
#define may_append (lax || (settled == approved && filed == saw && \
                            (answer || !intent || SECOND_INTENT)))
inline record_leaving() {
  if
  :: answer -> released = true
  :: else -> intent = true
  fi
}

/* kill -9. What it knew is gone; what it had written stays. */
#define mortal() \
  if \
  :: crashes > 0 -> crashes--; goto idle \
  :: true \
  fi

proctype Worker(byte me)
{
  mtype kind, out;
  byte who, says, version, at, seat0, seat1, mine, saw;
  byte seats[2];
  bool refused;

idle:
  atomic {
    kind = 0; out = 0; who = 0; says = 0; version = 0; at = 0; seat0 = 0; seat1 = 0;
    mine = 0; saw = 0; seats[0] = 0; seats[1] = 0; refused = false;
    holder[me] = 0
  }
  if
  :: atomic {
       /* A reviewer answers, about what they were shown: this version, or one before. */
       open && store.state == pending && tries > 0 ->
       tries--; kind = review; at = step_open;
       if
       :: at != 2 || OUT_OF_TURN -> who = 0
       :: at != 1 || OUT_OF_TURN -> who = 1
       fi;
       if :: says = YES :: says = NO fi;
       if :: version = store.version :: store.version > 1 -> version = 1 fi
     }
     goto propose
  :: atomic {
       answer && open && store.state == pending && edits > 0 ->
       edits--; kind = edit; version = store.version; at = step_open
     }
     goto propose
  :: atomic {
       open && store.state == pending && withdrawals > 0 ->
       withdrawals--; kind = withdraw; version = store.version
     }
     goto propose
  :: atomic {
       open && store.state == pending && late -> kind = expire; version = store.version
     }
     goto propose
  :: atomic {
       /* The sweep finishes what somebody else began; they may be at it still. */
       open && store.state == deciding && !NOBODY_FINISHES ->
       kind = store.kind; who = store.who; says = store.says; version = store.from;
       at = store.at
     }
     goto finish
  :: atomic { open && store.state == approved -> saw = store.version }
     goto claim
  :: atomic {
       /* lose.lua */
       open && store.state == dispatching && !store.leased && !NO_LEASE ->
       if
       :: answer || LOST_CLAIM_SENT_AGAIN -> store.claim = 0; become(approved)
       :: else -> become(unknown)
       fi;
       goto idle
     }
  :: atomic { open && store.state == ready -> become(delivered); goto idle }
  :: atomic {
       /* The gate is closed: this worker has the lock, or had it. */
       !open ->
       read_ledger(); mine = generation
     }
     atomic {
       mortal();
       if
       :: BELIEVED_AT_ONCE
       :: else -> restore()
       fi;
       if
       :: mine == generation -> open = true
       :: else
       fi;
       goto idle
     }
  fi;

propose:
  atomic {
    mortal();
    if
    :: open && (NO_COMPARE_AND_SET || store.state == pending) && (STALE_REVIEW_COUNTS || store.version == version) &&
       !(kind == review && store.seat[who] != 0) && late == (kind == expire) && READS_ITS_STEP ->
       if
       :: store.kind != 0 -> two_decisions = true
       :: else
       fi;
       if
       :: kind == review && version != store.version -> unreviewed = true   /* of something else */
       :: else
       fi;
       version = store.version;
       store.kind = kind; store.who = who; store.says = says; store.from = version;
       store.at = at;
       become(deciding)
    :: else -> goto idle
    fi
  }

finish:
  atomic {
    mortal();
    if
    :: open && store.version == version -> seat0 = store.seat[0]; seat1 = store.seat[1]
    :: else -> goto idle
    fi
  }
  if
  :: RELEASED_BEFORE_RECORDED ->
     atomic {
       mortal();
       seats[0] = seat0; seats[1] = seat1; out = pending;
       if
       :: kind == review -> seats[who] = says; count(seats[0], seats[1])
       :: kind == expire -> out = expired
       :: kind == withdraw -> out = withdrawn
       :: NEW_VERSION
       fi;
       settle_it()
     }
  :: else
  fi;
  atomic {
    mortal();
    if
    :: fails > 0 -> fails--; goto idle
    :: fails > 0 -> fails--; append_decision(); goto idle
    :: append_decision()
    fi;
    seats[0] = 0; seats[1] = 0; seat0 = 0; seat1 = 0
  }
  atomic {
    mortal();
    if
    :: refused -> goto mend
    :: else -> settle_it(); goto idle
    fi
  }

mend:
  /* The ledger has another: the hold is restored from it. */
  atomic { saw = version; read_ledger() }
  atomic {
    mortal();
    if
    :: open -> restore()
    :: else -> goto idle
    fi
  }
  /* It will never take this: what was proposed is void. */
  atomic {
    mortal();
    version = saw;
    if
    :: NEVER_GIVEN_UP
    :: else -> give_up()
    fi;
    goto idle
  }

claim:
  atomic {
    mortal();
    if
    :: open && READ && store.state == approved && lapsed -> become(expired); goto idle
    :: open && ((READ && store.state == approved && !lapsed) || NO_CLAIM) ->
       mine = 1;
       do                               /* a name that no claim has */
       :: mine == store.claim || mine == copy.claim || mine == holder[1 - me] -> mine++
       :: else -> break
       od;
       holder[me] = mine;
       store.claim = mine; store.leased = true;
       become(dispatching)
    :: else -> goto idle
    fi
  }
  /* The rules are asked again, and a newer deny wins; then what leaves is recorded. */
  atomic {
    mortal();
    if
    :: mores > 0 && open && store.state == dispatching && store.claim == mine ->
       mores--; kind = anew; who = 0; says = 0; version = saw;
       no_proposal();
       store.kind = anew; store.from = saw;
       store.claim = 0; store.leased = false;
       become(deciding);
       if
       :: SENT_ALL_THE_SAME && may_append -> record_leaving()
       :: else -> goto finish
       fi
    :: refusals > 0 -> refusals--; goto fail
    :: fails > 0 && FAIL_OPEN -> fails--
    :: fails > 0 && !FAIL_OPEN ->
       fails--;
       if
       :: true
       :: may_append -> record_leaving()
       fi;
       if
       :: answer -> goto idle             /* tried again when the lease is over */
       :: else -> goto fail
       fi
    :: may_append -> record_leaving()
    :: !may_append -> goto fail
    fi
  }
  if
  :: answer
  :: else ->
     atomic { mortal(); sent++; leaves(saw, intent) }
     atomic {
       mortal();
       if
       :: fails > 0 -> fails--; goto fail
       :: fails > 0 -> fails--; outcome = true; goto fail
       :: outcome = true
       fi
     }
  fi;
  /* finish.lua; kept trying while the store is away, until the lease must be over. */
  atomic {
    mortal();
    if
    :: open ->
       if
       :: (store.claim == mine && store.state == dispatching) || ANYBODY_FINISHES ->
          become(ready);
          given++;
          if
          :: answer -> leaves(saw, released)
          :: else
          fi
       :: else
       fi
    :: !open
    fi;
    goto idle
  }

fail:
  atomic {
    mortal();
    if
    :: open && store.claim == mine && store.state == dispatching -> become(failed)
    :: else
    fi;
    goto idle
  }
}

/* Time passes. */
proctype Clock()
{
end:
  do
  :: atomic { !late -> late = true }
  :: atomic { settled == approved && !lapsed && late -> lapsed = true }
  :: atomic {
       store.state == dispatching && store.leased &&
       store.claim != holder[0] && store.claim != holder[1] -> store.leased = false
     }
  :: atomic {
       late_leases > 0 && store.state == dispatching && store.leased ->
       late_leases--; store.leased = false
     }
  od
}

inline duplicate(one, other) {
  other.state = one.state; other.version = one.version;
  other.seat[0] = one.seat[0]; other.seat[1] = one.seat[1];
  other.kind = one.kind; other.who = one.who; other.says = one.says; other.from = one.from;
  other.at = one.at;
  other.claim = one.claim; other.leased = one.leased
}

/* Valkey stops and comes back. */
proctype Valkey()
{
end:
  do
  :: atomic { older && !copied && restarts > 0 -> copied = true; duplicate(store, copy) }
  :: atomic {
       restarts > 0 -> restarts--; generation++; open = false;
       if
       :: true                          /* its files are whole */
       :: !lax ->                       /* its files are gone */
          store.state = 0; store.version = 0; store.seat[0] = 0; store.seat[1] = 0;
          no_proposal();
          store.claim = 0; store.leased = false;
          given = 0;
          ended = (settled == approved -> 0 : ended)
       :: !lax && copied ->             /* an older copy of them */
          duplicate(copy, store);
          given = 0;
          ended = (settled == approved -> 0 : ended)
       fi
     }
  od
}

init {
  atomic {
    c_code {
      now.answer = told("ANSWER"); now.lax = told("LAX"); now.older = told("OLDER");
      now.need = told("NEED"); now.deny = told("DENY"); now.fault = told("FAULT");
      now.crashes = told("CRASHES"); now.restarts = told("RESTARTS"); now.fails = told("FAILS");
      now.late_leases = told("LATE_LEASES"); now.tries = told("TRIES"); now.edits = told("EDITS");
      now.withdrawals = told("WITHDRAWALS"); now.refusals = told("REFUSALS");
      now.mores = told("MORES"); now.ordered = told("STEPS");
    };
    store.state = pending; store.version = 1;
    run Worker(0); run Worker(1); run Clock(); run Valkey()
  }
}

ltl exactly_one_decision { [] !two_decisions }
ltl at_most_one_dispatch { [] (sent <= 1) }
ltl nothing_without_its_reviews { [] !unreviewed }
ltl terminal_states_stay { [] !changed }
ltl given_out_once { [] (given <= 1) }
ltl in_order { [] !unordered }
ltl no_hold_is_lost { <> [] (open && OVER(store.state)) }
/* These two must fail: what never happens proves nothing. */
ltl nothing_is_sent { [] (sent == 0) }
ltl nothing_is_given { [] (given == 0) }

ltl all_of_these {
  [] (!two_decisions && sent <= 1 && !unreviewed && !changed && given <= 1 && !unordered)
}
