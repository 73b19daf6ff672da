"""The sabotages: one broken line each, the promise that it breaks, and who is to notice it.

Whoever changes a line that stands here renews the entry; `bench.sabotage` fails while its text cannot be found.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ByCampaign:
    """The fault campaign on one rail notices it; rounds of the kinds in `first` come first."""

    rail: Literal["account", "agent"]
    rows: tuple[str, ...]
    """Those of `bench.evidence` that are about this promise: one of them must turn red, no other one counts."""
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByTests:
    """These tests notice it, named as pytest takes them."""

    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One line of the program, and what stands there instead."""

    name: str
    promise: str
    file: str
    text: str
    """Stands exactly once in the file; more than the broken line where that alone stands more often."""
    replacement: str
    by: ByCampaign | ByTests


def _account(*first: str, red: tuple[str, ...]) -> ByCampaign:
    return ByCampaign("account", red, first)


def _agent(*first: str, red: tuple[str, ...]) -> ByCampaign:
    return ByCampaign("agent", red, first)


def _tests(*tests: str) -> ByTests:
    return ByTests(tests)


BY_CAMPAIGN = (
    Sabotage(
        "leases-ignored",
        "an entry is in the hands of one process at a time",
        "zinc_mcp/journal/clocks.py",
        "        return self.left(entry) > 0.0",
        "        return False",
        _account("slow", "hosts", red=("two owners within one lease", "POSTs of one key at once")),
    ),
    Sabotage(
        "leases-ignored-by-wallet",
        "an entry is in the hands of one process at a time, paid by wallet as well",
        "zinc_mcp/journal/clocks.py",
        "        return self.left(entry) > 0.0",
        "        return False",
        _agent("slow", "hosts", red=("two owners within one lease", "POSTs of one key at once")),
    ),
    Sabotage(
        "open-orders-do-not-count",
        "a reservation counts against the limits while its order is open",
        "zinc_mcp/journal/rows.py",
        '        "counts_cents": reserved,',
        '        "counts_cents": 0,',
        _account("slow", red=("reservations that do not count", "limit overruns")),
    ),
    Sabotage(
        "limits-of-what-is-there-alone",
        "what is asked for is added to what counts",
        "zinc_mcp/journal/opening.py",
        "        if cents is not None and held + asked > cents:",
        "        if cents is not None and held > cents:",
        _account("slow", red=("limit overruns",)),
    ),
    Sabotage(
        "doubt-of-a-day",
        "doubt stands for ever",
        "zinc_mcp/journal/opening.py",
        "            ENTRIES.c.state.not_in(STANDING - FOREVER),\n",
        "",
        _account("doubt", red=("opened beside one in doubt", "duplicated")),
    ),
    Sabotage(
        "a-no-to-a-repeat-believed",
        "a no to a repeat ends no doubt",
        "zinc_mcp/checkout/send.py",
        '        process.checkpoint("answered")\n        if first:',
        '        process.checkpoint("answered")\n        if True:',
        _account("kills", "hosts", red=("wrong endings", "told wrongly", "duplicated")),
    ),
    Sabotage(
        "any-answer-believed",
        "an answer counts only if it is about our order",
        "zinc_mcp/spending/same_order.py",
        "    if is_ours and (entry.order_id is None or is_named(order, entry.order_id)):",
        "    if is_ours or entry.order_id is None or is_named(order, entry.order_id):",
        _account("answers", red=("answers about another order believed",)),
    ),
    Sabotage(
        "any-read-believed",
        "a read counts only if it is about the order that was asked for",
        "zinc_mcp/spending/same_order.py",
        "    if is_named(order, order_id) and (entry is None or may_be(order, wanted(entry))):",
        "    if order_id:",
        _account("answers", red=("answers about another order believed",)),
    ),
    Sabotage(
        "one-clock-alone",
        "a twin and a limit stand if either clock says so",
        "zinc_mcp/journal/clocks.py",
        "return min(self.clock(), self._second())",
        "return self.clock()",
        _account("clocks", red=("bought or spent by a wrong clock",)),
    ),
    Sabotage(
        "any-question-answered",
        "a decision is about exactly the question that was shown",
        "zinc_mcp/journal/questions.py",
        "    return entry if theirs and reference_of(entry) == about else None",
        "    return entry if theirs else None",
        _account("questions", red=("sent without a yes to these bytes",)),
    ),
    Sabotage(
        "failing-journal-told-as-not-sent",
        "after the first byte may have left, a failing journal is told as doubt",
        "zinc_mcp/spending/outcome.py",
        "    return error.in_doubt(happened, entry.key, order_id=entry.order_id)",
        "    return error.before_sending()",
        _account("journal", red=("told that nothing was sent, and it was",)),
    ),
    Sabotage(
        "attempts-not-counted",
        "each sending is in the journal before it leaves",
        "zinc_mcp/checkout/send.py",
        'marks |= {"attempts": entry.attempts + 1, **changes}',
        'marks |= {"attempts": entry.attempts, **changes}',
        _account("hosts", red=("lost",)),
    ),
    Sabotage(
        "visitors-parameters-count",
        "one product in another spelling is one intention",
        "zinc_mcp/journal/twin.py",
        "        line = canonical([read_product_url(product.url).canonical, _variant(product)])",
        "        line = canonical([product.url, _variant(product)])",
        _account("slow", "hosts", red=("duplicated",)),
    ),
    Sabotage(
        "quantity-forgotten",
        "two of a product are another intention than one",
        "zinc_mcp/journal/twin.py",
        "wanted[line] = wanted.get(line, 0) + product.quantity",
        "wanted[line] = 1",
        _account("hosts", red=("false twins",)),
    ),
    Sabotage(
        "any-amount-paid",
        "a payment request for another amount is not paid",
        "zinc_mcp/payments/terms.py",
        "    if rest or not lowest <= fee <= highest:",
        "    if rest:",
        _agent("hosts", red=("lies paid", "paid another amount")),
    ),
    Sabotage(
        "wallet-asked-by-a-stopped-process",
        "whoever lost its lease asks no wallet",
        "zinc_mcp/spending/pay.py",
        "        await hold(process, attempt, rail.sign_seconds)\n",
        "        pass\n",
        _agent("stops", red=("wallets started again or too late",)),
    ),
    Sabotage(
        "failed-orders-give-back-what-was-paid",
        "what a wallet let go counts until its return is proved",
        "zinc_mcp/journal/money.py",
        "        return _unbought(let_go, refunded)\n",
        "        return Settlement(0, 0, refunded)\n",
        _agent("failing", red=("money told to come back, and not proved", "paid past a limit", "limit overruns")),
    ),
    Sabotage(
        "order-key-not-kept",
        "the order's own key is on disk before its body is read",
        "zinc_mcp/journal/money.py",
        'return replace(self, recovery={**recovery, "key_of_conflict": not accepted}, order_key=order_key)',
        'return replace(self, recovery={**recovery, "key_of_conflict": not accepted})',
        _agent("hosts", red=("order keys lost",)),
    ),
)

_ORDERING, _PAYMENTS, _SERVING = "tests/checkout/test_promises.py", "tests/payments", "tests/server"
_TRANSACTION = f"{_PAYMENTS}/test_payments_transaction.py"
_DOUBLED = f"{_SERVING}/test_doubled_headers.py"

BY_TESTS = (
    Sabotage(
        "no-payment-before-the-wallet",
        "that a wallet is asked is on disk, with what proves its fate, before it is",
        "zinc_mcp/spending/pay.py",
        'entry, "signing", "asking the wallet", to_send=True, payment=payment, **marks',
        'entry, "signing", "asking the wallet", to_send=True, **marks',
        _tests(f"{_ORDERING}::test_what_a_killed_process_has_asked_its_program_to_pay_stays_in_doubt"),
    ),
    Sabotage(
        "every-wallet-only-signs",
        "a program that pays may have moved money by itself",
        "zinc_mcp/wiring.py",
        "            signs_only=not by_program,",
        "            signs_only=True,",
        _tests(f"{_ORDERING}::test_what_a_killed_process_has_asked_its_program_to_pay_stays_in_doubt"),
    ),
    Sabotage(
        "unsigned-is-unpaid-for-every-wallet",
        "that nothing was signed proves nothing about a wallet that does more than sign",
        "zinc_mcp/spending/proof.py",
        "        if payment.settle_by is None and rail.signs_only:",
        "        if payment.settle_by is None:",
        _tests(f"{_ORDERING}::test_what_a_killed_process_has_asked_its_program_to_pay_stays_in_doubt"),
    ),
    Sabotage(
        "a-silent-program-let-nothing-go",
        "what an unclear wallet may have let go counts",
        "zinc_mcp/spending/pay.py",
        'authorised = {} if rail.signs_only else {"authorised_cents": quote.amount_cents}',
        "authorised: dict[str, int] = {}",
        _tests(f"{_ORDERING}::test_whatever_an_unclear_program_may_have_let_go_counts"),
    ),
    Sabotage(
        "an-overtaken-program-let-nothing-go",
        "an overtaken entry is freed only where its wallet moves nothing by itself",
        "zinc_mcp/spending/pay.py",
        '    return ending == "unpaid" or (rail.signs_only and ending == "open")',
        "    return True",
        _tests(f"{_ORDERING}::test_a_process_overtaken_after_its_wallet_answered_frees_only_what_moved_nothing"),
    ),
    Sabotage(
        "another-price-is-ours",
        "an answer without our key is ours only at our price",
        "zinc_mcp/spending/same_order.py",
        "order.max_price is not None and order.max_price != wish.ceiling_cents:",
        "False:",
        _tests(f"{_ORDERING}::test_an_answer_that_shows_no_key_is_ours_only_at_our_price_and_with_our_lines"),
    ),
    Sabotage(
        "other-lines-are-ours",
        "an answer without our key is ours only with our lines",
        "zinc_mcp/spending/same_order.py",
        "        if there != quantity and not is_left_out and not is_fewer:",
        "        if False:",
        _tests(f"{_ORDERING}::test_an_answer_that_shows_no_key_is_ours_only_at_our_price_and_with_our_lines"),
    ),
    Sabotage(
        "more-lines-are-ours",
        "an answer without our key shows no product that was not ordered",
        "zinc_mcp/spending/same_order.py",
        "    return shown.keys() <= asked.keys()",
        "    return True",
        _tests("tests/spending/test_same_order.py"),
    ),
    Sabotage(
        "a-lagging-read-undoes-an-ending",
        "a read that lags behind undoes no ending",
        "zinc_mcp/spending/outcome.py",
        '    elif state == "accepted" and entry.state in ("placed", "failed", "cancelled"):',
        "    elif False:",
        _tests(f"{_ORDERING}::test_a_read_that_lags_behind_undoes_no_ending"),
    ),
    Sabotage(
        "commits-not-synced",
        "what is committed is on the disk",
        "zinc_mcp/journal/database.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        _tests(f"{_ORDERING}::test_what_is_committed_is_on_the_disk_and_not_only_on_its_way"),
    ),
    Sabotage(
        "syncs-not-full",
        "what is committed has left the disk's own memory, where a system can ask for that",
        "zinc_mcp/journal/database.py",
        '"fullfsync=1"',
        '"fullfsync=0"',
        _tests(f"{_ORDERING}::test_what_is_committed_is_on_the_disk_and_not_only_on_its_way"),
    ),
    Sabotage(
        "answers-written-once",
        "what Zinc answered is written again when the journal did not take it",
        "zinc_mcp/spending/outcome.py",
        '    entry, changes = attempt.entry, {"sender": None, **changes}\n    for pause in (0.05, 0.2, 1.0, None):',
        '    entry, changes = attempt.entry, {"sender": None, **changes}\n    for pause in (None,):',
        _tests(f"{_ORDERING}::test_an_answer_that_a_busy_disk_did_not_take_at_once_is_written_and_told"),
    ),
    Sabotage(
        "credentials-written-once",
        "a credential is written again when the journal did not take it",
        "zinc_mcp/spending/pay.py",
        "    for pause in (0.05, 0.2, 1.0, None):",
        "    for pause in (None,):",
        _tests(f"{_ORDERING}::test_a_credential_that_a_busy_disk_did_not_take_at_once_is_written_and_sent"),
    ),
    Sabotage(
        "two-hosts",
        "a request that names two hosts is refused",
        "zinc_mcp/server/http/requests.py",
        "        if len(hosts) != 1 or not self._hosts.allow_host(hosts[0]):",
        "        if not hosts or not self._hosts.allow_host(hosts[0]):",
        _tests(f"{_DOUBLED}::test_a_request_that_names_two_hosts_is_refused"),
    ),
    Sabotage(
        "two-hosts-on-the-page",
        "the page refuses a request that names two hosts",
        "zinc_mcp/server/pages/approval.py",
        "        if len(hosts) != 1 or not self._hosts.allow_host(hosts[0]):",
        "        if not hosts or not self._hosts.allow_host(hosts[0]):",
        _tests(f"{_DOUBLED}::test_the_page_takes_no_request_that_says_twice_where_it_comes_from"),
    ),
    Sabotage(
        "two-origins-on-the-page",
        "the page refuses a request that names two origins",
        "zinc_mcp/server/pages/approval.py",
        "        own = len(origins) == 1 and self._hosts.allow_origin(origins[0])",
        "        own = bool(origins) and self._hosts.allow_origin(origins[0])",
        _tests(f"{_DOUBLED}::test_the_page_takes_no_request_that_says_twice_where_it_comes_from"),
    ),
    Sabotage(
        "two-tokens",
        "a request with two tokens is nobody's",
        "zinc_mcp/server/http/requests.py",
        'given[0].partition(" ") if len(given) == 1 else',
        'given[0].partition(" ") if given else',
        _tests(f"{_DOUBLED}::test_a_request_with_two_tokens_is_nobodys"),
    ),
    Sabotage(
        "a-form-without-bound",
        "the page's form has a bound",
        "zinc_mcp/server/pages/approval.py",
        "        if len(body) > MAX_FORM_BYTES:",
        "        if False:",
        _tests(_DOUBLED),
    ),
    Sabotage(
        "fields-without-bound",
        "the page's form has a bound of fields",
        "zinc_mcp/server/pages/approval.py",
        "max_num_fields=8",
        "max_num_fields=None",
        _tests(f"{_DOUBLED}::test_a_form_beyond_its_bound_decides_nothing_although_a_right_answer_stands_in_it"),
    ),
    Sabotage(
        "repeats-although-nobody-waits",
        "identical bytes go again only while a call waits for them",
        "zinc_mcp/checkout/send.py",
        "        if not attempt.wanted or not await may_repeat(process, attempt.entry, rail):",
        "        if not await may_repeat(process, attempt.entry, rail):",
        _tests(f"{_ORDERING}::test_bytes_do_not_go_again_for_a_call_that_nobody_waits_for"),
    ),
    Sabotage(
        "a-yes-ends-with-its-question",
        "a yes waits ten minutes for a process that can send, however late it came",
        "zinc_mcp/journal/questions.py",
        '"decision": dict(said), **until}}',
        '"decision": dict(said)}}',
        _tests(f"{_ORDERING}::test_a_yes_waits_ten_minutes_for_a_process_that_can_send_however_late_it_came"),
    ),
    Sabotage(
        "a-yes-for-ever",
        "a yes that nobody could send within ten minutes is none any more",
        "zinc_mcp/checkout/decide.py",
        "if is_approved(entry) and not await clear_abandoned(process, entry):",
        "if is_approved(entry):",
        _tests(f"{_ORDERING}::test_a_yes_waits_ten_minutes_for_a_process_that_can_send_however_late_it_came"),
    ),
    Sabotage(
        "another-order-under-a-questions-key",
        "a key stands for one order, also while its question waits",
        "zinc_mcp/journal/opening.py",
        "    if named.body_digest != draft.body_digest:",
        '    if named.body_digest != draft.body_digest and named.state != "waiting":',
        _tests(f"{_ORDERING}::test_another_order_under_the_key_of_a_question_is_refused_and_the_question_stands"),
    ),
    Sabotage(
        "cancelled-between-opening-and-asking",
        "a host that cancels before anything was sent leaves no entry that holds money",
        "zinc_mcp/checkout/place_order.py",
        '''        with anyio.CancelScope(shield=True):
            summary = "The call ended before the question was asked."''',
        '''        with anyio.CancelScope():
            summary = "The call ended before the question was asked."''',
        _tests(f"{_ORDERING}::test_a_host_that_cancels_before_the_question_is_asked_leaves_no_entry_that_holds_money"),
    ),
    Sabotage(
        "sending-ends-with-the-call",
        "a host that cancels between opening and sending has an order that is sent, or nothing",
        "zinc_mcp/checkout/send.py",
        """            await _send(process, attempt, rail)
            if attempt.entry.state == "unknown" and await _marked_again(process, attempt, rail):""",
        """            if attempt.wanted:
                await _send(process, attempt, rail)
            if attempt.entry.state == "unknown" and await _marked_again(process, attempt, rail):""",
        _tests(
            f"{_ORDERING}::test_a_host_that_cancels_between_opening_and_sending_has_one_order_and_a_journal_that_says_so"
        ),
    ),
    Sabotage(
        "no-compare-and-set",
        "an entry is changed only as it was read",
        "zinc_mcp/journal/rows.py",
        'ENTRIES.c.version == sa.bindparam("this_version")',
        'ENTRIES.c.version >= sa.bindparam("this_version")',
        _tests("tests/journal/test_journal.py::test_a_change_of_an_older_version_is_refused_and_shows_how_it_stands"),
    ),
    *(
        Sabotage(
            f"tempo-{name}",
            f"a signed Tempo transaction is held against the charge: {what}",
            "zinc_mcp/payments/tempo_chain.py",
            text,
            "",
            _tests(_TRANSACTION),
        )
        for name, what, text in (
            ("chain", "its chain", "    _require(_number(fields[0]) == charge.chain_id)\n"),
            (
                "access-and-authorizations",
                "no access list, no other key that may spend",
                "    _require(access_list == [] and authorizations == [])\n",
            ),
            (
                "nonce",
                "a nonce of its own",
                "    _require(_number(fields[6]) == _EXPIRING_NONCE_KEY and _number(fields[7]) == 0)\n",
            ),
            ("not-yet", "of use at once", "    _require(_number(fields[9]) <= now)\n"),
            (
                "end",
                "of use for two minutes",
                "    _require(now < valid_before <= min(now + lifetime_seconds, charge.expires_at + 1))\n",
            ),
            ("signature", "a signature of a known length", "    _require(len(_bytes(fields[13])) in (65, 86))\n"),
            ("recipient", "its recipient", '    _require(arguments[:32] == recipient.rjust(32, b"\\0"))\n'),
            ("amount", "its amount", "    _require(int.from_bytes(arguments[32:64]) == int(charge.amount))\n"),
            ("sponsor", "who pays the network's fee", "    _require(sponsored == charge.sponsored)\n"),
        )
    ),
    Sabotage(
        "tempo-gas",
        "a signed Tempo transaction is held against the charge: the cap of the network's fee",
        "zinc_mcp/payments/tempo_chain.py",
        "        if _number(fields[2]) * _number(fields[3]) > MAX_GAS_ATTODOLLARS:",
        "        if False:",
        _tests(_TRANSACTION),
    ),
    Sabotage(
        "tempo-fifteenth-field",
        "a signed Tempo transaction has no field that lets another key spend",
        "zinc_mcp/payments/tempo_chain.py",
        "    if not isinstance(fields, list) or len(fields) != _FIELDS:",
        "    if not isinstance(fields, list) or len(fields) < _FIELDS:",
        _tests(_TRANSACTION),
    ),
)
SABOTAGES = (*BY_CAMPAIGN, *BY_TESTS)
