"""Every route of the portal, in one table: how it is asked for, what is needed for it, and who answers.

The door (`web/door.py`) goes by this table alone, and the tests walk it: each route, as each role, with own, others' and
unknown ids. Of two paths that fit the first is taken, so put `/things/add` before `/things/{thing_id}`.
"""

from typing import Final

from postback.domain.users import Permission
from postback.web import live, menu
from postback.web.config_form import sets_secret
from postback.web.door import OPEN, Route, always
from postback.web.pages import (
    account,
    accounts,
    assets,
    audit,
    callbacks,
    config,
    config_edit,
    configs,
    contact,
    deliveries,
    delivery,
    entrance,
    event,
    events,
    keys,
    location,
    locations,
    overview,
    postback_settings,
    publish,
    reference,
    replays,
    users,
)

SEE: Final = Permission.SEE
CONFIGS: Final = Permission.CHANGE_CONFIGS
RECORDS: Final = Permission.CHANGE_RECORDS
PUBLISH: Final = Permission.PUBLISH
REPLAY: Final = Permission.REPLAY
AUDIT: Final = Permission.SEE_AUDIT
KEYS: Final = Permission.MANAGE_KEYS
USERS: Final = Permission.MANAGE_USERS
ACCOUNTS: Final = Permission.MANAGE_ACCOUNTS

ROUTES: Final = (
    # Assets
    Route("GET", "/static/{digest}/{name}", OPEN, assets.static, asks_who=False),
    Route("GET", "/favicon.ico", OPEN, assets.icon, asks_who=False),
    Route("GET", "/reference/api/{digest}/api.css", OPEN, assets.api_stylesheet, asks_who=False),
    Route("GET", assets.SECURITY, OPEN, assets.security, asks_who=False),
    # The entrance
    Route("GET", "/sign-in", OPEN, entrance.show_sign_in),
    Route("POST", "/sign-in", OPEN, entrance.sign_in),
    Route("POST", "/sign-out", OPEN, entrance.sign_out),
    Route("GET", "/join/{token}", OPEN, entrance.show_join),
    Route("POST", "/join/{token}", OPEN, entrance.join),
    Route("GET", "/new-password/{token}", OPEN, entrance.show_new_password),
    Route("POST", "/new-password/{token}", OPEN, entrance.set_new_password),
    Route("GET", "/portal/{token}", OPEN, entrance.show_portal),
    Route("POST", "/portal/{token}", OPEN, entrance.open_portal),
    Route("POST", "/theme", OPEN, entrance.set_theme),
    # Overview
    Route("GET", "/", SEE, overview.show),
    Route("GET", "/live", SEE, live.stream),
    # Locations
    Route("GET", "/locations", SEE, locations.show_list),
    Route("GET", "/locations/add", RECORDS, locations.show_add),
    Route("POST", "/locations/add", RECORDS, locations.add),
    Route("GET", "/locations/{location_id}", SEE, location.show_contacts),
    Route("GET", "/locations/{location_id}/contacts/add", RECORDS, contact.show_add),
    Route("POST", "/locations/{location_id}/contacts/add", RECORDS, contact.add),
    Route("GET", "/locations/{location_id}/contacts/{contact_id}", SEE, contact.show),
    Route("POST", "/locations/{location_id}/contacts/{contact_id}", RECORDS, contact.change),
    Route("GET", "/locations/{location_id}/contacts/{contact_id}/delete", RECORDS, contact.show_delete),
    Route("POST", "/locations/{location_id}/contacts/{contact_id}/delete", RECORDS, contact.delete),
    Route("GET", "/locations/{location_id}/settings", SEE, location.show_settings),
    Route("POST", "/locations/{location_id}/settings", RECORDS, location.change),
    Route("GET", "/locations/{location_id}/postbackconfigs", SEE, location.show_configs),
    Route("GET", "/locations/{location_id}/delete", RECORDS, location.show_delete),
    Route("POST", "/locations/{location_id}/delete", RECORDS, location.delete),
    # Postback configs
    Route("GET", "/postbackconfigs", SEE, configs.show_list),
    Route("GET", "/postbackconfigs/add", CONFIGS, config_edit.show_add),
    Route("POST", "/postbackconfigs/add", CONFIGS, config_edit.add),
    Route("GET", "/postbackconfigs/{config_id}", SEE, config.show),
    Route("GET", "/postbackconfigs/{config_id}/edit", CONFIGS, config_edit.show_edit),
    Route("POST", "/postbackconfigs/{config_id}/edit", CONFIGS, config_edit.edit, sets_secret),
    Route("POST", "/postbackconfigs/{config_id}/pause", CONFIGS, config.pause),
    Route("POST", "/postbackconfigs/{config_id}/resume", CONFIGS, config.resume),
    Route("POST", "/postbackconfigs/{config_id}/rotate-secret", CONFIGS, config.rotate_secret, always),
    Route("POST", "/postbackconfigs/{config_id}/test", CONFIGS, config.test),
    Route("GET", "/postbackconfigs/{config_id}/delete", CONFIGS, config.show_delete),
    Route("POST", "/postbackconfigs/{config_id}/delete", CONFIGS, config.delete),
    # Account-wide settings
    Route("GET", "/callbacks", SEE, callbacks.show),
    Route("POST", "/callbacks", CONFIGS, callbacks.change),
    Route("POST", "/callbacks/test", CONFIGS, callbacks.test),
    Route("GET", "/postbacksettings", SEE, postback_settings.show),
    Route("POST", "/postbacksettings", CONFIGS, postback_settings.change),
    # Deliveries
    Route("GET", "/deliveries", SEE, deliveries.show_list),
    Route("GET", "/deliveries/{delivery_id}", SEE, delivery.show),
    Route("POST", "/deliveries/{delivery_id}/replay", REPLAY, delivery.replay),
    Route("GET", "/deliveries/{delivery_id}/cancel", REPLAY, delivery.show_cancel),
    Route("POST", "/deliveries/{delivery_id}/cancel", REPLAY, delivery.cancel),
    Route("GET", "/replays", SEE, replays.show_list),
    Route("GET", "/replays/new", REPLAY, replays.show_new),
    Route("POST", "/replays/new", REPLAY, replays.start),
    Route("GET", "/replays/cancel", REPLAY, replays.show_cancel),
    Route("POST", "/replays/cancel", REPLAY, replays.cancel),
    Route("GET", "/replays/{replay_id}", SEE, replays.show),
    # Events
    Route("GET", "/events", SEE, events.show_list),
    Route("GET", "/events/new", PUBLISH, publish.show),
    Route("POST", "/events/new", PUBLISH, publish.publish),
    Route("GET", "/events/{event_id}", SEE, event.show),
    # Account
    Route("GET", "/account", SEE, account.show),
    Route("POST", "/account/sessions/{session_id}/end", SEE, account.end_session),
    Route("GET", "/account/password", SEE, account.show_password),
    Route("POST", "/account/password", SEE, account.change_password),
    Route("GET", "/account/users", USERS, users.show_list),
    Route("GET", "/account/users/invite", USERS, users.show_invite),
    Route("POST", "/account/users/invite", USERS, users.invite, always),
    Route("POST", "/account/users/{user_id}", USERS, users.change, always),
    Route("POST", "/account/users/{user_id}/password-link", USERS, users.make_password_link, always),
    Route("POST", "/account/links/{link_id}/revoke", USERS, users.revoke_link),
    Route("GET", "/account/keys", KEYS, keys.show_list),
    Route("GET", "/account/keys/add", KEYS, keys.show_add),
    Route("POST", "/account/keys/add", KEYS, keys.add, always),
    Route("GET", "/account/keys/{key_id}/revoke", KEYS, keys.show_revoke),
    Route("POST", "/account/keys/{key_id}/revoke", KEYS, keys.revoke, always),
    Route("GET", "/account/audit", AUDIT, audit.show),
    # Accounts of the platform
    Route("GET", "/accounts", SEE, accounts.show_list),
    Route("POST", "/accounts/{account}/act-for", SEE, accounts.act_for),
    Route("GET", "/accounts/add", ACCOUNTS, accounts.show_add),
    Route("POST", "/accounts/add", ACCOUNTS, accounts.add),
    Route("GET", "/accounts/{account}/settings", ACCOUNTS, accounts.show_settings),
    Route("POST", "/accounts/{account}/settings", ACCOUNTS, accounts.change, always),
    Route("GET", "/accounts/{account}/portal-link", ACCOUNTS, accounts.show_portal_link),
    Route("POST", "/accounts/{account}/portal-link", ACCOUNTS, accounts.make_portal_link, always),
    Route("POST", "/accounts/{account}/portal-link/{portal_link_id}/revoke", ACCOUNTS, accounts.revoke_portal_link),
    # Reference
    Route("GET", "/reference", SEE, reference.show),
    Route("GET", "/reference/signatures", SEE, reference.show_signatures),
    Route("GET", "/reference/api", SEE, reference.show_api),
    Route("GET", "/reference/events/{event_type}", SEE, reference.show_type),
)

menu.offer([route.path for route in ROUTES if route.method == "GET"])
