"""Accounts, tariffs, agreements, bills, lines, ledger; and the triggers that keep them."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
create table billing.accounts (
    account_id uuid not null constraint pk_accounts primary key,
    tenant_id integer not null,
    number text not null,
    name text not null,
    language text not null,
    constraint uq_accounts_tenant_id_number unique (tenant_id, number)
);

create table billing.tariffs (
    tenant_id integer not null,
    code text not null,
    version text not null,
    valid_from date not null,
    commodity text not null,
    currency text not null,
    document jsonb not null,
    digest text not null,
    constraint pk_tariffs primary key (tenant_id, code, version),
    constraint uq_tariffs_tenant_id_code_valid_from unique (tenant_id, code, valid_from)
);

create table billing.agreements (
    agreement_id uuid not null constraint pk_agreements primary key,
    tenant_id integer not null,
    account_id uuid not null constraint fk_agreements_account_id_accounts
        references billing.accounts (account_id),
    service_point_id bigint not null,
    service_point text not null,
    tariff_code text not null,
    commodity text not null,
    from_date date not null,
    to_date date,
    constraint ck_agreements_dates check (to_date > from_date),
    constraint ex_agreements_service_point exclude using gist (
        tenant_id with =, service_point_id with =, commodity with =,
        daterange(from_date, to_date) with &&)
);
create index ix_agreements_tenant_id_agreement_id on billing.agreements (tenant_id, agreement_id);
create index ix_agreements_account_id on billing.agreements (account_id);

create table billing.bill_numbers (
    tenant_id integer not null constraint pk_bill_numbers primary key,
    last_number bigint not null
);

create table billing.bills (
    bill_id uuid not null constraint pk_bills primary key,
    tenant_id integer not null,
    number bigint,
    agreement_id uuid not null constraint fk_bills_agreement_id_agreements
        references billing.agreements (agreement_id),
    account_id uuid not null constraint fk_bills_account_id_accounts
        references billing.accounts (account_id),
    tariff_code text not null,
    tariff_version text not null,
    from_date date not null,
    to_date date not null,
    revision integer not null,
    state text not null,
    held_because text not null,
    currency text not null,
    total numeric,
    quantity numeric,
    unit text not null,
    inputs_digest text not null,
    output_digest text not null,
    run_id uuid not null,
    issued_at timestamptz,
    constraint uq_bills_agreement_id_from_date_to_date_revision
        unique (agreement_id, from_date, to_date, revision),
    constraint uq_bills_tenant_id_number unique (tenant_id, number),
    constraint ck_bills_dates check (to_date > from_date),
    constraint ck_bills_state check (state in ('issued', 'held')),
    constraint ck_bills_complete check (
        (state = 'issued') = (number is not null and total is not null
        and quantity is not null and issued_at is not null and held_because = '')),
    constraint fk_bills_tenant_id_tariffs foreign key (tenant_id, tariff_code, tariff_version)
        references billing.tariffs (tenant_id, code, version),
    constraint ex_bills_agreement exclude using gist (
        agreement_id with =, revision with =, daterange(from_date, to_date) with &&)
        where (state = 'issued')
);
create index ix_bills_tenant_id_bill_id on billing.bills (tenant_id, bill_id);
create index ix_bills_account_id on billing.bills (account_id);

create table billing.bill_lines (
    bill_id uuid not null constraint fk_bill_lines_bill_id_bills
        references billing.bills (bill_id),
    position integer not null,
    tenant_id integer not null,
    line_id text not null,
    text text not null,
    quantity numeric not null,
    unit text not null,
    price numeric not null,
    amount numeric not null,
    because text not null,
    lineage jsonb not null,
    constraint pk_bill_lines primary key (bill_id, position)
);

create table billing.ledger_entries (
    bill_id uuid not null constraint fk_ledger_entries_bill_id_bills
        references billing.bills (bill_id),
    account text not null,
    tenant_id integer not null,
    debit numeric not null,
    credit numeric not null,
    currency text not null,
    constraint pk_ledger_entries primary key (bill_id, account),
    constraint ck_ledger_entries_side check (
        debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0))
);
"""

_FUNCTIONS = """
create function billing.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of billing.% is refused: what is posted is never changed',
        tg_op, tg_table_name using errcode = 'restrict_violation';
end $$;

create function billing.check_bill() returns trigger language plpgsql as $$
declare
    bill billing.bills;
    lines numeric;
    balance numeric;
    owed numeric;
    currencies bigint;
begin
    select * into bill from billing.bills where bill_id = new.bill_id;
    select coalesce(sum(amount), 0) into lines
        from billing.bill_lines where bill_id = new.bill_id;
    select coalesce(sum(debit - credit), 0),
           coalesce(sum(debit - credit) filter (where account = 'receivable'), 0),
           count(*) filter (where currency <> bill.currency)
        into balance, owed, currencies
        from billing.ledger_entries where bill_id = new.bill_id;
    if balance <> 0 or currencies > 0 then
        raise exception 'ledger entries of bill % sum to %, not to zero in its currency',
            new.bill_id, balance using errcode = 'check_violation';
    end if;
    if lines <> coalesce(bill.total, 0) or owed <> coalesce(bill.total, 0) then
        raise exception 'bill % of % has lines of % and is posted with %',
            new.bill_id, bill.total, lines, owed using errcode = 'check_violation';
    end if;
    return null;
end $$;
"""

#: Tables whose rows are final from the moment they are written.
_FINAL = ("tariffs", "bill_lines", "ledger_entries")


def upgrade() -> None:
    # A trusted extension: the owner of the database may create it (PostgreSQL 13).
    op.execute("create extension if not exists btree_gist")
    op.execute(_TABLES)
    op.execute(_FUNCTIONS)
    for table in _FINAL:
        op.execute(
            f"create trigger final before update or delete on billing.{table} "
            "for each row execute function billing.refuse_change()"
        )
    op.execute(
        "create trigger final before update or delete on billing.bills "
        "for each row when (old.state = 'issued') execute function billing.refuse_change()"
    )
    for table in (*_FINAL, "bills"):
        op.execute(
            f"create trigger keep before truncate on billing.{table} "
            "for each statement execute function billing.refuse_change()"
        )
    # Deferred: a bill, its lines and its entries are written one after another.
    for table in ("bills", "bill_lines", "ledger_entries"):
        op.execute(
            f"create constraint trigger adds_up after insert or update on billing.{table} "
            "deferrable initially deferred for each row execute function billing.check_bill()"
        )


def downgrade() -> None:
    for table in (
        "ledger_entries",
        "bill_lines",
        "bills",
        "bill_numbers",
        "agreements",
        "tariffs",
        "accounts",
    ):
        op.execute(f"drop table billing.{table}")
    op.execute("drop function billing.check_bill()")
    op.execute("drop function billing.refuse_change()")
