//! Branches that any membership strategy may take, rarely; see [`Mark`](crate::Mark).

crate::marks! {
    CONTACT_REPLACED = "contact-replaced": "a new contact takes the place of the oldest";
}
