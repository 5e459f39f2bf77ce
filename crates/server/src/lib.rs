//! HTTP: ingestion, webhooks, public pages, dashboard. Empty until its issue.
