//! Branches of anti-entropy that are rarely taken; see [`Mark`](crate::Mark).

murmurate_membership::marks! {
    EXCHANGE_LISTED = "exchange-listed": "neighbours differ in what they have, and list it";
    EXCHANGE_SPLIT = "exchange-split": "neighbours differ in many origins, and compare parts of them";
    EXCHANGE_OF_STRANGER = "exchange-of-stranger": "somebody who is not a neighbour compares";
    @loss EXCHANGE_FLOOD = "exchange-flood": "a neighbour compares more often than it may";
    @loss EXCHANGE_NONSENSE = "exchange-nonsense": "a neighbour lists what it did not announce";
    GAP_ASKED = "gap-asked": "what was missed is asked for";
    GAP_GIVEN_UP = "gap-given-up": "what was missed did not come, and is given up";
    @loss REPLY_BUDGET_SPENT = "reply-budget-spent": "a neighbour asks for more than it gets at once";
}
