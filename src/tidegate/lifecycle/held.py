"""SQL of the packages that contacts hold: internal keys in `these`, at `:as_of`."""

# What semantics, Catalog and entitlements, says of access, as `entitlements.access` has it; held against it by a test.
PACKAGES = """
held as (
  select g.contact, g.package from these t join tidegate.grants g on g.contact = t.contact
  left join tidegate.contact_settings o on o.connection = g.connection
  where g.package is not null and (g.ends_at is null or g.ends_at > :as_of)
    and (g.status in ('active', 'trialing') or (g.status = 'past_due' and g.grace_until > :as_of))
    and (g.pause is null or g.resumes_at <= :as_of
      or jsonb_exists(coalesce(o.settings -> 'paused_gives', '["keep_as_draft"]'), g.pause))
  union
  select v.contact, v.package from these t join tidegate.overrides v on v.contact = t.contact
  where v.package is not null and v.revoked_at is null and v.since <= :as_of
    and (v.expires_at is null or v.expires_at > :as_of)),
packages as (
  select t.contact, array_agg(distinct p.key order by p.key) as packages
  from these t join tidegate.packages p on exists (
      select from held h where h.contact = t.contact and h.package = p.key)
    or (p.is_default and not exists (
      select from held h join tidegate.packages b on b.key = h.package
      where h.contact = t.contact and b.kind = 'base'))
  group by t.contact)"""
