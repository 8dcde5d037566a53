"""SQL of what contacts hold at `:as_of`."""

# What semantics, Catalog and entitlements, says of access, as `entitlements.access` has it; held against it by a test.
GIVES = """g.times > 0 and (g.ends_at is null or g.ends_at > :as_of)
    and (g.status in ('active', 'trialing') or (g.status = 'past_due' and g.grace_until > :as_of))
    and (g.pause is null or g.resumes_at <= :as_of or jsonb_exists(coalesce((
      select o.settings -> 'paused_gives' from tidegate.contact_settings o where o.connection = g.connection),
      '["keep_as_draft"]'), g.pause))"""
"""Whether the grant `g` gives something."""

STANDS = "v.revoked_at is null and v.since <= :as_of and (v.expires_at is null or v.expires_at > :as_of)"
"""Whether the override `v` does."""

PACKAGES = f"""
held as (
  select g.contact, g.package from these t join tidegate.grants g on g.contact = t.contact
  where g.package is not null and {GIVES}
  union
  select v.contact, v.package from these t join tidegate.overrides v on v.contact = t.contact
  where v.package is not null and {STANDS}),
packages as (
  select t.contact, array_agg(distinct p.key order by p.key) as packages
  from these t join tidegate.packages p on exists (
      select from held h where h.contact = t.contact and h.package = p.key)
    or (p.is_default and not exists (
      select from held h join tidegate.packages b on b.key = h.package
      where h.contact = t.contact and b.kind = 'base'))
  group by t.contact)"""
"""CTEs: the packages of the contacts (internal keys) in `these`."""
