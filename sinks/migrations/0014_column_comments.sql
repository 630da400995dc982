-- What the columns of the views mean, for whoever looks them up in SQL; docs/data-dictionary.md is made from it.

ALTER TABLE analytics.alert_actions
    COMMENT COLUMN action_id 'names the action; the same id again is the same action',
    COMMENT COLUMN episode_id 'episode it is about; NULL for a silence by matcher',
    COMMENT COLUMN action 'ack, unack, assign, note, resolve, reopen, silence or unsilence',
    COMMENT COLUMN by 'who did it',
    COMMENT COLUMN note 'what they had to say; may be empty',
    COMMENT COLUMN assignee 'who was given the episode; empty takes it from everybody',
    COMMENT COLUMN rule 'of a silence: rule that it matches; empty for any',
    COMMENT COLUMN customer_id 'of a silence: customer that it matches; empty for any',
    COMMENT COLUMN store_id 'of a silence: store that it matches; empty for any',
    COMMENT COLUMN subject 'of a silence: subject that it matches; empty for any',
    COMMENT COLUMN until 'of a silence: when it ends by itself; 1970-01-01 for other actions',
    COMMENT COLUMN acted_at 'when they did it';

ALTER TABLE analytics.alerts
    COMMENT COLUMN customer_id 'resolved customer',
    COMMENT COLUMN episode_id 'UUIDv5 of rule, customer and the problem''s subject',
    COMMENT COLUMN journey_id 'journey in which it began',
    COMMENT COLUMN rule 'rule that found it',
    COMMENT COLUMN rule_version 'version of that rule',
    COMMENT COLUMN severity 'info, warning or critical',
    COMMENT COLUMN status 'open, resolved or withdrawn',
    COMMENT COLUMN subject 'order, queue, contact or topic it is about',
    COMMENT COLUMN opened_at 'when the rule''s condition became true',
    COMMENT COLUMN last_seen_at 'last touchpoint or due time that belongs to it',
    COMMENT COLUMN resolved_at 'when it ended; NULL while open',
    COMMENT COLUMN threshold 'what the rule allows, in its own unit',
    COMMENT COLUMN actual 'what was found, in the same unit',
    COMMENT COLUMN unit 'what threshold and actual count: seconds, contacts and others',
    COMMENT COLUMN title_en 'title in English',
    COMMENT COLUMN title_he 'title in Hebrew',
    COMMENT COLUMN reason_en 'why, in English',
    COMMENT COLUMN reason_he 'why, in Hebrew',
    COMMENT COLUMN advice_en 'what to do, in English',
    COMMENT COLUMN advice_he 'what to do, in Hebrew',
    COMMENT COLUMN store_id 'store it happened in; empty if none',
    COMMENT COLUMN evidence 'touchpoints that prove it, source/event_id',
    COMMENT COLUMN detected_at 'wall clock when this state was found',
    COMMENT COLUMN kind 'friction, delight, opportunity or source',
    COMMENT COLUMN change 'what this state adds to the one before: opened, updated, escalated, resolved or withdrawn',
    COMMENT COLUMN limit_at 'clock value by which all would have been well; NULL if there is none',
    COMMENT COLUMN silent_if_en 'smallest change that would have kept the rule silent, in English',
    COMMENT COLUMN silent_if_he 'the same in Hebrew',
    COMMENT COLUMN withdrawn_because 'late_data, corrected, rule_changed or merged; empty unless withdrawn',
    COMMENT COLUMN affected_customers 'how many customers share the problem; NULL if not counted',
    COMMENT COLUMN acknowledged_by 'who acknowledged it; empty if nobody has',
    COMMENT COLUMN acknowledged_at 'when that was; NULL if nobody has',
    COMMENT COLUMN assigned_to 'who looks after it; empty if nobody does',
    COMMENT COLUMN human_resolved_by 'who resolved it; empty if no person did',
    COMMENT COLUMN human_resolved_at 'when that was; NULL if no person did',
    COMMENT COLUMN notes 'what people had to say, the oldest first',
    COMMENT COLUMN silenced 'whether a silence matches it now, or did when it ended',
    COMMENT COLUMN effective_status 'status as people see it: resolved, too, when a person said so';

ALTER TABLE analytics.customer_scores
    COMMENT COLUMN customer_id 'resolved customer',
    COMMENT COLUMN journeys 'scored journeys',
    COMMENT COLUMN first_started_at 'start of the first of them',
    COMMENT COLUMN last_ended_at 'end of the last of them',
    COMMENT COLUMN experience 'how it felt, 0 (bad) to 100 (good), weighted: half as much for each 90 days before the last',
    COMMENT COLUMN effort 'how much the customer had to do, 0 (little) to 100 (much), weighted likewise',
    COMMENT COLUMN experience_parts 'what experience is made of, points by part',
    COMMENT COLUMN effort_parts 'what effort is made of, points by part';

ALTER TABLE analytics.dead_letters
    COMMENT COLUMN letter_id 'topic-partition-offset, as `journeys dead-letters` takes it',
    COMMENT COLUMN topic 'Kafka topic it was read from',
    COMMENT COLUMN partition 'Kafka partition it was read from',
    COMMENT COLUMN offset 'Kafka offset it was read from',
    COMMENT COLUMN reason 'reason code',
    COMMENT COLUMN step 'step that refused it',
    COMMENT COLUMN detail 'what is wrong, for a person',
    COMMENT COLUMN raw_bytes 'how many bytes came',
    COMMENT COLUMN refused_at 'wall clock of the refusal',
    COMMENT COLUMN arrived_at 'when the record reached Kafka',
    COMMENT COLUMN replay_of 'topic-partition-offset of the dead letter that it is a replay of; empty if it is none',
    COMMENT COLUMN attempt 'how often it has been replayed when it was refused; 0 if it is no replay',
    COMMENT COLUMN replays 'how often it was replayed',
    COMMENT COLUMN replayed_at 'when it was last; NULL if never',
    COMMENT COLUMN replayed_by 'who did that; empty if nobody has',
    COMMENT COLUMN refused_again_as 'letter_id of its last replay that was refused itself; empty if none was',
    COMMENT COLUMN status 'open, replayed, or refused_again for a replay that was refused itself';

ALTER TABLE analytics.facts
    COMMENT COLUMN type 'restocked, stock_level or source_heartbeat',
    COMMENT COLUMN sku 'product; empty if it is about none',
    COMMENT COLUMN store_id 'empty if it is about no single store',
    COMMENT COLUMN occurred_at 'when it became true',
    COMMENT COLUMN quantity 'how many there are; NULL if not said',
    COMMENT COLUMN source 'web, store, support, delivery, messaging or feedback',
    COMMENT COLUMN event_id 'the source''s own id; (source, event_id) identifies a fact',
    COMMENT COLUMN properties 'JSON object as it came',
    COMMENT COLUMN received_at 'when it reached the door';

ALTER TABLE analytics.identity
    COMMENT COLUMN identifier 'record key, kind:value',
    COMMENT COLUMN kind 'customer_id, loyalty_id, phone, email, device_id or anonymous_id',
    COMMENT COLUMN owner 'record key of the identifier that it belongs to; empty: it belongs to nobody',
    COMMENT COLUMN status 'linked, conflict (linked to the earliest of several), flagged (too many customers: not linked), unlinked (by a person) or loop (of merge records)',
    COMMENT COLUMN customers 'with how many different owners it was seen in the busiest window',
    COMMENT COLUMN rule 'rule of the evidence that decided; empty if it belongs to nobody',
    COMMENT COLUMN source 'source of the touchpoint that decided',
    COMMENT COLUMN event_id 'its event id',
    COMMENT COLUMN linked_at 'when that touchpoint happened; NULL if it belongs to nobody',
    COMMENT COLUMN first_seen_at 'first touchpoint under this identifier alone; NULL if none was known',
    COMMENT COLUMN decided_at 'wall clock of the decision';

ALTER TABLE analytics.identity_conflicts
    COMMENT COLUMN identifier 'record key, kind:value',
    COMMENT COLUMN kind 'customer_id, loyalty_id, phone, email, device_id or anonymous_id',
    COMMENT COLUMN status 'conflict (linked to the earliest of several), flagged (too many customers: not linked) or loop (of merge records)',
    COMMENT COLUMN owner 'record key of the identifier that it belongs to; empty: it belongs to nobody',
    COMMENT COLUMN customers 'with how many different owners it was seen in the busiest window',
    COMMENT COLUMN decided_at 'wall clock of the decision';

ALTER TABLE analytics.identity_links
    COMMENT COLUMN identifier 'record key, kind:value, of the weaker identifier; personal kinds as keyed HMAC',
    COMMENT COLUMN owner 'record key of the stronger identifier that it was seen with',
    COMMENT COLUMN rule 'seen_together, merged, unlinked or relinked; the last two are a person''s acts',
    COMMENT COLUMN occurred_at 'when the touchpoint happened, or when the person acted',
    COMMENT COLUMN source 'source of the touchpoint that says so; console for a person''s act',
    COMMENT COLUMN event_id 'its event id, or the id of the act',
    COMMENT COLUMN by 'who did it; empty for what touchpoints say',
    COMMENT COLUMN reason 'why customers were merged, or why a person acted';

ALTER TABLE analytics.journey_redirects
    COMMENT COLUMN former_journey_id 'id of a journey that is no more',
    COMMENT COLUMN former_customer_id 'whose it was',
    COMMENT COLUMN customer_id 'whose it is now',
    COMMENT COLUMN journey_id 'journey that it has become part of';

ALTER TABLE analytics.journeys
    COMMENT COLUMN customer_id 'resolved customer',
    COMMENT COLUMN journey_id 'UUIDv5 of customer and first touchpoint',
    COMMENT COLUMN started_at 'first touchpoint',
    COMMENT COLUMN ended_at 'last touchpoint so far',
    COMMENT COLUMN status 'open or closed',
    COMMENT COLUMN outcome 'converted, abandoned, resolved, unresolved, returned or browsing',
    COMMENT COLUMN touchpoints 'number of touchpoints',
    COMMENT COLUMN sources 'touchpoints by source',
    COMMENT COLUMN stages 'first time in each stage',
    COMMENT COLUMN channels 'channels in the order of first use; a source stands in where none was said',
    COMMENT COLUMN path 'types in order, at most the first 200',
    COMMENT COLUMN contacts 'support contacts started',
    COMMENT COLUMN orders 'orders and till purchases',
    COMMENT COLUMN promises 'promises made to the customer',
    COMMENT COLUMN promises_open 'of these: still owed, time not passed',
    COMMENT COLUMN promises_kept 'of these: kept in time',
    COMMENT COLUMN promises_late 'of these: kept too late',
    COMMENT COLUMN promises_broken 'of these: time passed, still owed',
    COMMENT COLUMN queue_wait_seconds 'longest finished wait in a store queue; NULL if there was none',
    COMMENT COLUMN contact_wait_seconds 'longest finished wait for an answer; NULL if there was none',
    COMMENT COLUMN delivery_deviation_seconds 'worst delivery against its latest promise, signed; NULL if none was delivered',
    COMMENT COLUMN friction 'friction episodes, withdrawn ones not counted',
    COMMENT COLUMN delight 'delight episodes, withdrawn ones not counted',
    COMMENT COLUMN experience 'how the journey felt, 0 (bad) to 100 (good)',
    COMMENT COLUMN effort 'how much the customer had to do, 0 (little) to 100 (much)',
    COMMENT COLUMN experience_parts 'what experience is made of, points by part',
    COMMENT COLUMN effort_parts 'what effort is made of, points by part';

ALTER TABLE analytics.open_interest
    COMMENT COLUMN customer_id 'resolved customer',
    COMMENT COLUMN sku 'product',
    COMMENT COLUMN store_id 'store it was asked for in; empty if none was named',
    COMMENT COLUMN kind 'cart, order, hold or wish',
    COMMENT COLUMN since 'since when',
    COMMENT COLUMN order_id 'of an order: which; otherwise empty';

ALTER TABLE analytics.promises
    COMMENT COLUMN customer_id 'resolved customer',
    COMMENT COLUMN promise_id 'UUIDv5 of customer, kind, subject and opening touchpoint',
    COMMENT COLUMN journey_id 'journey in which it was made',
    COMMENT COLUMN kind 'delivery, callback, refund, hold, complaint or restock',
    COMMENT COLUMN subject 'order, contact or product it is about',
    COMMENT COLUMN requested_at 'when it was made',
    COMMENT COLUMN first_promised_at 'time first promised',
    COMMENT COLUMN latest_promised_at 'time last promised',
    COMMENT COLUMN settled_at 'when it was fulfilled or withdrawn; NULL while owed',
    COMMENT COLUMN status 'open, kept, late, broken or withdrawn',
    COMMENT COLUMN responsible 'who was late with it: carrier, warehouse, store, support or messaging; empty unless late or broken',
    COMMENT COLUMN parcels 'parcels of a split order as last said; 0 if nobody said',
    COMMENT COLUMN parcels_delivered 'of these: delivered';

ALTER TABLE analytics.silences
    COMMENT COLUMN silence_id 'names the silence',
    COMMENT COLUMN episode_id 'episode it is about; NULL for a silence by matcher',
    COMMENT COLUMN rule 'of a silence: rule that it matches; empty for any',
    COMMENT COLUMN customer_id 'of a silence: customer that it matches; empty for any',
    COMMENT COLUMN store_id 'of a silence: store that it matches; empty for any',
    COMMENT COLUMN subject 'of a silence: subject that it matches; empty for any',
    COMMENT COLUMN by 'who did it',
    COMMENT COLUMN note 'what they had to say; may be empty',
    COMMENT COLUMN silenced_at 'when it began',
    COMMENT COLUMN until 'when it ended or will end';

ALTER TABLE analytics.touchpoints
    COMMENT COLUMN customer_id 'resolved customer: the bare customer_id, or kind:value while only a weaker identifier is known',
    COMMENT COLUMN occurred_at 'when it happened, corrected for a skewed sender clock',
    COMMENT COLUMN source 'web, store, support, delivery, messaging or feedback',
    COMMENT COLUMN event_id 'the source''s own id; (source, event_id) identifies a touchpoint',
    COMMENT COLUMN type 'what happened, from the catalogue',
    COMMENT COLUMN stage 'stage of the type',
    COMMENT COLUMN channel 'medium inside the source; empty if not said',
    COMMENT COLUMN order_id 'empty if none',
    COMMENT COLUMN case_id 'empty if none',
    COMMENT COLUMN store_id 'empty if none',
    COMMENT COLUMN agent_id 'empty if none',
    COMMENT COLUMN identifiers 'all identifiers it came with; personal kinds as keyed HMAC',
    COMMENT COLUMN properties 'JSON object as it came',
    COMMENT COLUMN received_at 'when it reached the door',
    COMMENT COLUMN occurred_at_original 'occurred_at before clock correction',
    COMMENT COLUMN late 'arrived after its journey could be reopened; in no journey until a rebuild',
    COMMENT COLUMN journey_id 'journey it belongs to; all zeros: none',
    COMMENT COLUMN via 'identifiers through which it came to its customer, its own first; empty: it named the customer itself';
