"""The HTTP API: problem+json for every error, bearer tokens, one file per noun, and Stripe's webhooks."""

from starlette.convertors import register_url_convertor

from tidegate.api.segments import Segment

register_url_convertor("segment", Segment())
