"""The sabotages that tests must notice."""

from bench.sabotages.sabotage import ByTests, Sabotage


def _tests(*tests: str) -> ByTests:
    return ByTests(tests)


_ORDERING, _PAYMENTS, _SERVING = "tests/checkout/test_promises.py", "tests/payments", "tests/server"
_TRANSACTION = f"{_PAYMENTS}/test_payments_transaction.py"
_CONDITIONS, _STOPPED = "tests/checkout/test_single_conditions.py", "tests/checkout/test_stopped_processes.py"
_DOUBLED = f"{_SERVING}/test_doubled_headers.py"

BY_TESTS = (
    Sabotage(
        "no-payment-before-the-wallet",
        "the journal has a payment, with what proves its end, before the wallet is asked",
        "zinc_mcp/spending/pay.py",
        'entry, "signing", "asking the wallet", to_send=True, payment=payment, **marks',
        'entry, "signing", "asking the wallet", to_send=True, **marks',
        _tests(f"{_ORDERING}::test_a_payment_that_a_killed_process_asked_a_program_for_stays_in_doubt"),
    ),
    Sabotage(
        "every-wallet-only-signs",
        "a program that pays may have moved money by itself",
        "zinc_mcp/wiring.py",
        "            signs_only=not by_program,",
        "            signs_only=True,",
        _tests(f"{_ORDERING}::test_a_payment_that_a_killed_process_asked_a_program_for_stays_in_doubt"),
    ),
    Sabotage(
        "unsigned-is-unpaid-for-every-wallet",
        "a wallet that does more than sign may have paid although it signed nothing",
        "zinc_mcp/spending/proof.py",
        "        if payment.settle_by is None and rail.signs_only:",
        "        if payment.settle_by is None:",
        _tests(f"{_ORDERING}::test_a_payment_that_a_killed_process_asked_a_program_for_stays_in_doubt"),
    ),
    Sabotage(
        "a-silent-program-let-nothing-go",
        "money that an unclear wallet may have paid counts",
        "zinc_mcp/spending/pay.py",
        'authorised = {} if rail.signs_only else {"authorised_cents": quote.amount_cents}',
        "authorised: dict[str, int] = {}",
        _tests(f"{_ORDERING}::test_money_that_an_unclear_program_may_have_released_counts"),
    ),
    Sabotage(
        "an-overtaken-program-let-nothing-go",
        "an overtaken entry is freed only where its wallet moves nothing by itself",
        "zinc_mcp/spending/pay.py",
        '    return ending == "unpaid" or (rail.signs_only and ending == "open")',
        "    return True",
        _tests(f"{_ORDERING}::test_a_process_overtaken_after_its_wallet_answered_frees_only_unmoved_money"),
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
        "an older read undoes no ending",
        "zinc_mcp/spending/outcome.py",
        '    elif state == "accepted" and entry.state in ("placed", "failed", "cancelled"):',
        "    elif False:",
        _tests(f"{_ORDERING}::test_a_read_that_lags_behind_undoes_no_ending"),
    ),
    Sabotage(
        "commits-not-synced",
        "a commit is on the disk",
        "zinc_mcp/journal/sqlite.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        _tests(f"{_ORDERING}::test_a_commit_is_on_the_disk_before_it_returns"),
    ),
    Sabotage(
        "syncs-not-full",
        "a commit has left the disk's cache, where a system can ask for that",
        "zinc_mcp/journal/sqlite.py",
        '"fullfsync=1"',
        '"fullfsync=0"',
        _tests(f"{_ORDERING}::test_a_commit_is_on_the_disk_before_it_returns"),
    ),
    Sabotage(
        "answers-written-once",
        "an answer of Zinc is written again when the journal failed",
        "zinc_mcp/spending/outcome.py",
        '    entry, changes = attempt.entry, {"sender": None, **changes}\n    for pause in (0.05, 0.2, 1.0, None):',
        '    entry, changes = attempt.entry, {"sender": None, **changes}\n    for pause in (None,):',
        _tests(f"{_ORDERING}::test_an_answer_that_a_busy_disk_did_not_take_at_once_is_written_and_told"),
    ),
    Sabotage(
        "credentials-written-once",
        "a credential is written again when the journal failed",
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
        "a request with two tokens belongs to nobody",
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
        "a yes that no process could use within ten minutes is void",
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
        """        with anyio.CancelScope(shield=True):
            summary = "The call ended""",
        """        with anyio.CancelScope():
            summary = "The call ended""",
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
            f"a signed Tempo transaction is compared with the charge: {what}",
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
                "its own nonce",
                "    _require(_number(fields[6]) == _EXPIRING_NONCE_KEY and _number(fields[7]) == 0)\n",
            ),
            ("not-yet", "valid at once", "    _require(_number(fields[9]) <= now)\n"),
            (
                "end",
                "valid for two minutes",
                "    _require(now < valid_before <= min(now + lifetime_seconds, charge.expires_at + 1))\n",
            ),
            ("signature", "a signature of a known length", "    _require(len(_bytes(fields[13])) in (65, 86))\n"),
            ("recipient", "its recipient", '    _require(arguments[:32] == recipient.rjust(32, b"\\0"))\n'),
            ("amount", "its amount", "    _require(int.from_bytes(arguments[32:64]) == int(charge.amount))\n"),
            ("sponsor", "the payer of the network's fee", "    _require(sponsored == charge.sponsored)\n"),
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
    # The last six were chosen by somebody who had seen neither the tests nor the campaign.
    Sabotage(
        "old-orders-leave-the-limits",
        "an order counts from when it was sent, however long ago Zinc says that it was",
        "zinc_mcp/spending/outcome.py",
        'return {"zinc_at": at, "counted_at": max(entry.counted_at, at)}',
        'return {"zinc_at": at, "counted_at": at}',
        _tests(f"{_CONDITIONS}::test_an_order_that_zinc_dates_long_ago_counts_from_when_it_was_sent"),
    ),
    Sabotage(
        "own-order-on-the-wire-told-as-not-sent",
        "a call is told of the same order that this process has on the wire",
        "zinc_mcp/checkout/repeats.py",
        'own = twin is not None and twin.state == "waiting" and twin.lease_owner == process.owner',
        "own = twin is not None and twin.lease_owner == process.owner",
        _tests(f"{_CONDITIONS}::test_an_order_on_the_wire_is_told_as_sent_to_a_call_that_cannot_write"),
    ),
    Sabotage(
        "an-old-yes-pays",
        "a yes is for ten minutes, also while the price is asked for",
        "zinc_mcp/journal/journal.py",
        "(entry.state == state and entry.attempts <= 1)",
        "(entry.state == state and entry.attempts == 1)",
        _tests(f"{_CONDITIONS}::test_a_yes_that_is_over_before_the_wallet_is_asked_pays_nothing"),
    ),
    Sabotage(
        "the-fee-of-today-is-paid",
        "a payment request may ask for the fee that was shown, and no more",
        "zinc_mcp/rails/agent.py",
        "fee_range_cents=(min(self._fees_cents[0], fee_cents), fee_cents),",
        "fee_range_cents=self._fees_cents,",
        _tests(f"{_CONDITIONS}::test_a_402_may_ask_for_the_fee_that_was_shown_whatever_is_configured_by_then"),
    ),
    Sabotage(
        "a-stopped-repeat-ends-the-doubt",
        "a repeat that was not sent leaves the doubt of the first request",
        "zinc_mcp/checkout/send.py",
        "attempt = Attempt(entry, left=entry.state in DOUBTFUL)",
        "attempt = Attempt(entry, left=entry.state in DOUBTFUL and entry.attempts > 1)",
        _tests(f"{_CONDITIONS}::test_a_repeat_that_the_journal_stopped_leaves_the_doubt_of_the_first_request"),
    ),
    Sabotage(
        "a-look-forgets-the-sender",
        "an order is not resolved as not bought while its process may still send it",
        "zinc_mcp/checkout/look_up.py",
        'entry = await _moved(process, entry, "unknown", "the sending process did not come back", **FREE)',
        'entry = await _moved(process, entry, "unknown", "the sending process did not come back", sender=None, **FREE)',
        _tests(f"{_STOPPED}::test_an_order_whose_process_may_still_run_is_not_resolved_as_not_bought"),
    ),
)
