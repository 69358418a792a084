//! A list that mostly holds one thing. In: any list. Out: the same as a slice, where one thing stands
//! in its place and not in an allocation of its own. It must never differ from a boxed slice.

use std::fmt;
use std::ops::Deref;

/// An immutable list; one item costs no allocation.
#[derive(Clone)]
pub struct Few<T>(Held<T>);

#[derive(Clone)]
enum Held<T> {
    One(T),
    Many(Box<[T]>),
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Held::One(item) => std::slice::from_ref(item),
            Held::Many(items) => items,
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Held::Many(Box::default()))
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut items: Vec<T>) -> Self {
        Self(match (items.len(), items.pop()) {
            (1, Some(item)) => Held::One(item),
            (_, last) => {
                items.extend(last);
                Held::Many(items.into())
            }
        })
    }
}

impl<T, const N: usize> From<[T; N]> for Few<T> {
    fn from(items: [T; N]) -> Self {
        items.into_iter().collect()
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let Some(first) = items.next() else {
            return Self::default();
        };
        Self(match items.next() {
            None => Held::One(first),
            Some(second) => Held::Many([first, second].into_iter().chain(items).collect()),
        })
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_as_they_went_in_whatever_they_were_made_from() {
        for count in 0..5 {
            let items: Vec<u32> = (0..count).collect();
            let from_vec = Few::from(items.clone());
            let collected: Few<u32> = items.iter().copied().collect();
            assert_eq!(*from_vec, items[..]);
            assert_eq!(from_vec, collected);
            assert_eq!(format!("{from_vec:?}"), format!("{items:?}"));
        }
        assert_eq!(Few::from([1, 2]), [1, 2].into_iter().collect());
    }

    #[test]
    fn one_item_stands_in_the_place_of_the_pointer() {
        assert_eq!(size_of::<Few<(u16, u16)>>(), size_of::<Box<[(u16, u16)]>>());
    }
}
