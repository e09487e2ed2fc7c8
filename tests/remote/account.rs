//! What accounts and hosts over there may be like.
