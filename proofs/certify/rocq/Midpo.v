(* Midpo.v: what certificates of recoveries and refutations rest on.
   Standard library only.

   1. sums and products over tokens and vocabulary;  2. logarithm of a log-linear
   prior (LogOf);  3. collecting sums (Lin);  4. functions of the language;
   5. the tactic [midpo];  6. margin, loss, Bradley-Terry.                         *)

From Coq Require Import Reals Lra List FunctionalExtensionality.
Import ListNotations.
Open Scope R_scope.

Create HintDb midpo_pos.
Create HintDb midpo.
Create HintDb midpo_divergence.
Create HintDb midpo_loss.
(* Instances are selected by syntax, never by unfolding a literal or an operation. *)
#[export] Hint Opaque IZR INR Rplus Rminus Rmult Rdiv Ropp Rinv Rpower pow exp ln sqrt
  Rmax Rmin Rabs : typeclass_instances.

(* ------------------------------------------------------------------ *)
(** * 1. Sums and products *)

(** Over the positions 0 .. n-1 of a response of n tokens. *)
Fixpoint sumn (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S k => sumn k f + f k end.

Fixpoint prodn (n : nat) (f : nat -> R) : R :=
  match n with O => 1 | S k => prodn k f * f k end.

(** Over a list, such as the vocabulary. *)
Fixpoint suml {A : Type} (l : list A) (f : A -> R) : R :=
  match l with nil => 0 | a :: l' => f a + suml l' f end.

(** The probability of a response is the product over its tokens. *)
Definition seq_prob {V : Type} (law : nat -> V -> R) (tok : nat -> V) (n : nat) : R :=
  prodn n (fun t => law t (tok t)).
#[export] Hint Unfold seq_prob : midpo.

(** Divergence of q from p, averaged over p; entropy of p; in nats. *)
Definition KL {V : Type} (vocab : list V) (p q : V -> R) : R :=
  suml vocab (fun v => p v * ln (p v / q v)).
Definition entropy {V : Type} (vocab : list V) (p : V -> R) : R :=
  - suml vocab (fun v => p v * ln (p v)).
#[export] Hint Unfold KL entropy : midpo_divergence.
#[export] Hint Opaque KL entropy : typeclass_instances.

Lemma sumn_ext n f g : (forall t, f t = g t) -> sumn n f = sumn n g.
Proof. intro H. induction n; simpl; [reflexivity | now rewrite IHn, H]. Qed.

Lemma sumn_plus n f g : sumn n (fun t => f t + g t) = sumn n f + sumn n g.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sumn_scal n c f : sumn n (fun t => c * f t) = c * sumn n f.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sumn_const n c : sumn n (fun _ => c) = INR n * c.
Proof.
  induction n; [simpl; ring |].
  change (sumn (S n) (fun _ => c)) with (sumn n (fun _ => c) + c).
  rewrite S_INR, IHn. ring.
Qed.

Lemma prodn_pos n f : (forall t, 0 < f t) -> 0 < prodn n f.
Proof. intro H. induction n; simpl; [lra | apply Rmult_lt_0_compat; auto]. Qed.

Lemma suml_ext {A} (l : list A) f g : (forall a, f a = g a) -> suml l f = suml l g.
Proof. intro H. induction l; simpl; [reflexivity | now rewrite H, IHl]. Qed.
Lemma suml_plus {A} (l : list A) f g : suml l (fun a => f a + g a) = suml l f + suml l g.
Proof. induction l; simpl; [ring | rewrite IHl; ring]. Qed.
Lemma suml_scal {A} (l : list A) c f : suml l (fun a => c * f a) = c * suml l f.
Proof. induction l; simpl; [ring | rewrite IHl; ring]. Qed.

(* ------------------------------------------------------------------ *)
(** * 2. Logarithm of a log-linear expression

   [LogOf e l]: [e] is positive and its logarithm is [l]. The instances below are the
   grammar of what the tactic takes a logarithm of.                                *)

Class LogOf (e l : R) : Prop := logof_intro { log_pos : 0 < e; log_eq : ln e = l }.

(** Positivity of an atom: by its shape, down to the hypotheses. *)
Class Pos (e : R) : Prop := pos_intro : 0 < e.

Lemma Rpower_below_one b r : 0 < b -> b < 1 -> 0 < r -> Rpower b r < 1.
Proof.
  intros P B R. unfold Rpower. rewrite <- exp_0. apply exp_increasing.
  rewrite <- (Rmult_0_r r). apply Rmult_lt_compat_l; [exact R |].
  rewrite <- ln_1. now apply ln_increasing.
Qed.

Lemma product_below_one a b : 0 < a -> a < 1 -> 0 < b -> b < 1 -> a * b < 1.
Proof. intros. apply Rlt_trans with (1 * b); [apply Rmult_lt_compat_r |]; lra. Qed.

(** [0 < e] and [e < 1], by the shape of e. *)
Ltac midpo_positive :=
  first
    [ assumption
    | lazymatch goal with
      | |- 0 < ?a * ?b => apply Rmult_lt_0_compat; midpo_positive
      | |- 0 < ?a / ?b => apply Rdiv_lt_0_compat; midpo_positive
      | |- 0 < / ?a => apply Rinv_0_lt_compat; midpo_positive
      | |- 0 < ?a ^ ?k => apply pow_lt; midpo_positive
      | |- 0 < exp ?a => apply exp_pos
      | |- 0 < Rpower ?a ?b => apply exp_pos
      | |- 0 < sqrt ?a => apply sqrt_lt_R0; midpo_positive
      | |- 0 < Rmax ?a ?b =>
          first [ apply Rlt_le_trans with a; [midpo_positive | apply Rmax_l]
                | apply Rlt_le_trans with b; [midpo_positive | apply Rmax_r] ]
      | |- 0 < Rabs ?a => apply Rabs_pos_lt; assumption
      | |- 0 < prodn _ _ => apply prodn_pos; intro; midpo_positive
      | |- 0 < 1 - ?a => apply Rlt_Rminus; midpo_below_one
      | |- 0 < ?a + ?b => apply Rplus_lt_0_compat; midpo_positive
      end
    | solve [eauto 3 with midpo_pos]
    | lra ]
with midpo_below_one :=
  first
    [ assumption
    | lazymatch goal with
      | |- Rpower ?a ?b < 1 => apply Rpower_below_one; first [midpo_below_one | midpo_positive]
      | |- ?a * ?b < 1 =>
          apply product_below_one; first [midpo_below_one | midpo_positive]
      end
    | solve [auto]
    | lra ].

#[export] Hint Extern 0 (Pos _) => (red; solve [midpo_positive]) : typeclass_instances.

#[export] Instance LogOf_mul a b la lb :
  LogOf a la -> LogOf b lb -> LogOf (a * b) (la + lb).
Proof.
  intros [pa ea] [pb eb]; split; [now apply Rmult_lt_0_compat |].
  now rewrite ln_mult, ea, eb.
Qed.

#[export] Instance LogOf_inv a la : LogOf a la -> LogOf (/ a) (- la).
Proof.
  intros [pa ea]; split; [now apply Rinv_0_lt_compat |]. now rewrite ln_Rinv, ea.
Qed.

#[export] Instance LogOf_div a b la lb :
  LogOf a la -> LogOf b lb -> LogOf (a / b) (la - lb).
Proof. intros. unfold Rdiv, Rminus. now apply LogOf_mul, LogOf_inv. Qed.

#[export] Instance LogOf_exp r : LogOf (exp r) r.
Proof. split; [apply exp_pos | apply ln_exp]. Qed.

#[export] Instance LogOf_power a la r : LogOf a la -> LogOf (Rpower a r) (r * la).
Proof.
  intros [pa ea]; unfold Rpower; split; [apply exp_pos |]. now rewrite ln_exp, ea.
Qed.

#[export] Instance LogOf_pow a la k : LogOf a la -> LogOf (a ^ k) (INR k * la).
Proof.
  intros [pa ea]; split; [now apply pow_lt |]. rewrite <- ea. clear ea.
  induction k; [simpl; rewrite ln_1; ring |].
  rewrite <- tech_pow_Rmult, ln_mult, IHk, S_INR; [ring | exact pa | now apply pow_lt].
Qed.

#[export] Instance LogOf_sqrt a la : LogOf a la -> LogOf (sqrt a) (/ 2 * la).
Proof.
  intros [pa ea]; split; [now apply sqrt_lt_R0 |].
  assert (H : ln (sqrt a * sqrt a) = ln (sqrt a) + ln (sqrt a))
    by (apply ln_mult; now apply sqrt_lt_R0).
  rewrite sqrt_sqrt in H by lra. rewrite <- ea. lra.
Qed.

#[export] Instance LogOf_one : LogOf 1 0.
Proof. split; [lra | apply ln_1]. Qed.

#[export] Instance LogOf_prodn n f lf :
  (forall t, LogOf (f t) (lf t)) -> LogOf (prodn n f) (sumn n lf).
Proof.
  intro H. induction n; simpl; [apply LogOf_one |].
  now apply LogOf_mul.
Qed.

#[export] Instance LogOf_atom p : Pos p -> LogOf p (ln p) | 100.
Proof. now split. Qed.

Lemma ln_of e l : LogOf e l -> ln e = l.
Proof. now intros []. Qed.

(* ------------------------------------------------------------------ *)
(** * 3. Collecting the sums over one range

   A [Linear] operator is a sum over something; [Lin S e a F]: e = a + S F.        *)

Class Linear {A : Type} (S : (A -> R) -> R) : Prop := {
  S_ext : forall f g, (forall t, f t = g t) -> S f = S g;
  S_plus : forall f g, S (fun t => f t + g t) = S f + S g;
  S_scal : forall c f, S (fun t => c * f t) = c * S f }.

#[export] Instance Linear_sumn n : Linear (sumn n).
Proof. split; [apply sumn_ext | apply sumn_plus | apply sumn_scal]. Qed.
#[export] Instance Linear_suml {A} (l : list A) : Linear (suml l).
Proof. split; [apply suml_ext | apply suml_plus | apply suml_scal]. Qed.

Class Lin {A : Type} (S : (A -> R) -> R) (e a : R) (F : A -> R) : Prop :=
  lin_eq : e = a + S F.

Section Lin.
  Context {A : Type} (S : (A -> R) -> R) {L : Linear S}.

  Lemma S_zero : S (fun _ => 0) = 0.
  Proof.
    rewrite (@S_ext A S L _ (fun t => 0 * (fun _ => 0) t)) by (intro; ring).
    rewrite (@S_scal A S L). ring.
  Qed.

  Lemma Lin_sum f : Lin S (S f) 0 f.
  Proof. red; ring. Qed.
  Lemma Lin_plus e1 e2 a1 a2 F1 F2 :
    Lin S e1 a1 F1 -> Lin S e2 a2 F2 ->
    Lin S (e1 + e2) (a1 + a2) (fun t => F1 t + F2 t).
  Proof. intros -> ->; red; rewrite S_plus; ring. Qed.
  Lemma Lin_opp e a F : Lin S e a F -> Lin S (- e) (- a) (fun t => (-1) * F t).
  Proof. intros ->; red; rewrite S_scal; ring. Qed.
  Lemma Lin_minus e1 e2 a1 a2 F1 F2 :
    Lin S e1 a1 F1 -> Lin S e2 a2 F2 ->
    Lin S (e1 - e2) (a1 - a2) (fun t => F1 t + (-1) * F2 t).
  Proof. intros -> ->; red; rewrite S_plus, S_scal; ring. Qed.
  Lemma Lin_mul c e a F : Lin S e a F -> Lin S (c * e) (c * a) (fun t => c * F t).
  Proof. intros ->; red; rewrite S_scal; ring. Qed.
  Lemma Lin_mul_r c e a F : Lin S e a F -> Lin S (e * c) (c * a) (fun t => c * F t).
  Proof. intros ->; red; rewrite S_scal; ring. Qed.
  Lemma Lin_div c e a F : Lin S e a F -> Lin S (e / c) (a / c) (fun t => / c * F t).
  Proof. intros ->; red; rewrite S_scal; unfold Rdiv; ring. Qed.
  Lemma Lin_atom e : Lin S e e (fun _ => 0).
  Proof. red; rewrite S_zero; ring. Qed.

  Lemma lin_split e1 e2 a1 a2 F1 F2 :
    Lin S e1 a1 F1 -> Lin S e2 a2 F2 ->
    (forall t, F1 t = F2 t) -> a1 = a2 -> e1 = e2.
  Proof. intros -> -> H ->. now rewrite (@S_ext A S L F1 F2 H). Qed.

  (** The same where the summands differ by what does not depend on the index. *)
  Lemma lin_split_shift e1 e2 a1 a2 F1 F2 t0 :
    Lin S e1 a1 F1 -> Lin S e2 a2 F2 ->
    (forall t, F1 t = F2 t + (F1 t0 - F2 t0)) ->
    a1 + S (fun _ => F1 t0 - F2 t0) = a2 -> e1 = e2.
  Proof.
    intros -> -> H <-. rewrite (@S_ext A S L F1 _ H), (@S_plus A S L). ring.
  Qed.
End Lin.

(** Whether the sum [S] occurs in [e]. *)
Ltac midpo_occurs S e :=
  lazymatch S with
  | sumn ?n => lazymatch e with context [sumn n _] => idtac end
  | @suml ?A ?l => lazymatch e with context [@suml A l _] => idtac end
  end.

(** [Lin S e ?a ?F] by the shape of e. *)
Ltac midpo_lin :=
  lazymatch goal with
  | |- Lin ?S ?e _ _ =>
      tryif midpo_occurs S e then
        lazymatch e with
        | _ + _ => apply Lin_plus; [exact _ | midpo_lin | midpo_lin]
        | _ - _ => apply Lin_minus; [exact _ | midpo_lin | midpo_lin]
        | - _ => apply Lin_opp; [exact _ | midpo_lin]
        | ?a * _ =>
            tryif midpo_occurs S a
            then (apply Lin_mul_r; [exact _ | midpo_lin])
            else (apply Lin_mul; [exact _ | midpo_lin])
        | _ / _ => apply Lin_div; [exact _ | midpo_lin]
        | _ => first [apply Lin_sum | apply Lin_atom; exact _]
        end
      else (apply Lin_atom; exact _)
  end.

(* ------------------------------------------------------------------ *)
(** * 4. Functions of the language, and powers *)

Definition sigmoid (m : R) : R := / (1 + exp (- m)).
Definition logsigmoid (m : R) : R := ln (sigmoid m).
Definition relu (m : R) : R := Rmax 0 m.
Definition step (m : R) : R := if Rle_dec 0 m then 1 else 0.
(** A stopped gradient has its argument's value. *)
Definition stopped (r : R) : R := r.
#[export] Hint Unfold stopped relu : midpo.
#[export] Hint Opaque sigmoid logsigmoid relu step : typeclass_instances.

Lemma tanh_sigmoid x : tanh x = 2 * sigmoid (2 * x) - 1.
Proof.
  unfold tanh, sinh, cosh, sigmoid.
  replace (- (2 * x)) with (- x + - x) by ring. rewrite exp_plus.
  replace (exp x) with (/ exp (- x)) by (rewrite exp_Ropp; apply Rinv_inv).
  pose proof (exp_pos (- x)). field. split; nra.
Qed.

(** Of two names of one function one is left. *)
Ltac midpo_logistic :=
  lazymatch goal with
  | |- context [sigmoid _] => rewrite ?tanh_sigmoid
  | |- _ => idtac
  end.

Lemma Rpower_same b c r s lb lc :
  LogOf b lb -> LogOf c lc -> r * lb = s * lc -> Rpower b r = Rpower c s.
Proof. intros [_ <-] [_ <-] H. unfold Rpower. now rewrite H. Qed.
Lemma Rpower_exp b r a lb : LogOf b lb -> r * lb = a -> Rpower b r = exp a.
Proof. intros [_ <-] <-. reflexivity. Qed.

Lemma Rmax_cases a b : Rmax a b = a /\ b <= a \/ Rmax a b = b /\ a <= b.
Proof. unfold Rmax. destruct (Rle_dec a b); [right | left]; split; lra. Qed.
Lemma Rmin_cases a b : Rmin a b = a /\ a <= b \/ Rmin a b = b /\ b <= a.
Proof. unfold Rmin. destruct (Rle_dec a b); [left | right]; split; lra. Qed.
Lemma Rabs_cases a : Rabs a = a /\ 0 <= a \/ Rabs a = - a /\ a <= 0.
Proof. unfold Rabs. destruct (Rcase_abs a); [right | left]; split; lra. Qed.
Lemma step_cases a : step a = 1 /\ 0 <= a \/ step a = 0 /\ a < 0.
Proof. unfold step. destruct (Rle_dec 0 a); [left | right]; split; lra. Qed.

(* ------------------------------------------------------------------ *)
(** * 5. The tactic *)

(** What an instance of [LogOf] takes apart. *)
Ltac midpo_compound e :=
  lazymatch e with
  | _ * _ => idtac | _ / _ => idtac | / _ => idtac | exp _ => idtac | Rpower _ _ => idtac
  | _ ^ _ => idtac | sqrt _ => idtac | prodn _ _ => idtac | 1 => idtac
  end.

(** [clear] keeps the proof term small: the equation is used at once. *)
Ltac midpo_logs :=
  repeat match goal with
  | |- context [ln ?e] =>
      midpo_compound e;
      let H := fresh in
      eassert (H : ln e = _) by (apply ln_of; once typeclasses eauto);
      progress (rewrite H); clear H
  end.

Ltac midpo_counts :=
  repeat rewrite S_INR; change (INR 0) with 0.

Ltac midpo_nonzero :=
  first
    [ assumption
    | solve [eauto 3 with midpo_pos]
    | apply Rgt_not_eq; red; solve [midpo_positive]
    | apply Rlt_not_eq; solve [midpo_positive | lra]
    | apply pow_nonzero; midpo_nonzero
    | apply Rmult_integral_contrapositive_currified; midpo_nonzero
    | lra
    | let H := fresh in
      intro H;
      match goal with
      | C : ?e <> 0 |- _ => apply C; solve [lra | nra]
      | C : forall _, _ <> 0 |- _ => eapply C; solve [lra | nra]
      end ].

Lemma ln_nonzero x : 0 < x -> x <> 1 -> ln x <> 0.
Proof. intros Hx Hn H. apply Hn, ln_inv; [exact Hx | lra | now rewrite ln_1]. Qed.
Lemma ln_positive x : 1 < x -> 0 < ln x.
Proof. intro H. rewrite <- ln_1. apply ln_increasing; lra. Qed.

(** A hypothesis at an instance with numbers. What is said of every position is seen at the first
    ones, and from some on by its sign. *)
Ltac midpo_numbers :=
  cbn [suml sumn prodn]; cbv beta iota delta [seq_prob prodn INR]; cbv beta iota;
  first [lra | midpo_positive | midpo_nonzero | apply Rlt_le; midpo_positive
        | apply ln_nonzero; lra | apply ln_positive; lra].
Ltac midpo_positions count :=
  match goal with
  | t : nat |- _ =>
      first
        [ solve [pose proof (pos_INR t); repeat rewrite S_INR; first [lra | nra]]
        | lazymatch count with
          | S ?fewer => destruct t; [solve [midpo_numbers] | midpo_positions fewer]
          end ]
  end.
Ltac midpo_instance :=
  intros; repeat match goal with b : bool |- _ => destruct b end;
  first [solve [midpo_numbers] | midpo_positions 12%nat].

Ltac midpo_side := repeat split; midpo_nonzero.

Ltac midpo_field := first [ reflexivity | ring | field; midpo_side ].

(** Powers of sums are products of sums. *)
Ltac midpo_powers :=
  repeat match goal with
  | |- context [?b ^ S ?k] =>
      lazymatch b with
      | context [sumn] => change (b ^ S k) with (b * b ^ k)
      | context [@suml] => change (b ^ S k) with (b * b ^ k)
      end
  end.

Ltac midpo_is_sum e := lazymatch e with _ + _ => idtac | _ - _ => idtac | - _ => idtac end.

(** Functions of what has no function in it, logarithms of atoms apart. *)
Ltac midpo_innermost A :=
  let plain e :=
    lazymatch e with
    | context [exp _] => fail | context [Rpower _ _] => fail | context [Rmax _ _] => fail
    | context [Rmin _ _] => fail | context [Rabs _] => fail | context [step _] => fail
    | context [tanh _] => fail | context [sigmoid _] => fail
    | context [ln (_ + _)] => fail | context [ln (_ - _)] => fail
    | _ => idtac
    end in
  lazymatch A with ?f ?a ?b => plain a; plain b | ?f ?a => plain a end.

(** Powers of different atoms are not the same. *)
Ltac midpo_atomic e :=
  lazymatch e with
  | _ * _ => fail | _ / _ => fail | / _ => fail | _ ^ _ => fail | Rpower _ _ => fail
  | exp _ => fail | sqrt _ => fail | prodn _ _ => fail | _ + _ => fail | _ - _ => fail
  | _ => idtac
  end.

(** Two applications of one function are the same where [close] proves their arguments equal. *)
Ltac midpo_twins A close :=
  let same B tactic :=
    (tryif constr_eq A B then fail else
       (tryif midpo_innermost A then midpo_innermost B else idtac;
        let H := fresh in assert (H : B = A) by tactic; rewrite H; clear H)) in
  repeat
    lazymatch A with
    | ln _ =>
        match goal with
        | |- context [ln ?b] => midpo_is_sum b; same (ln b) ltac:(apply f_equal; close ())
        end
    | exp _ =>
        match goal with
        | |- context [exp ?b] => same (exp b) ltac:(apply f_equal; close ())
        | |- context [Rpower ?b ?r] =>
            same (Rpower b r) ltac:(eapply Rpower_exp; [once typeclasses eauto | close ()])
        end
    | Rpower ?c _ =>
        match goal with
        | |- context [Rpower ?b ?r] =>
            (tryif midpo_atomic b; midpo_atomic c then constr_eq b c else idtac);
            same (Rpower b r) ltac:(eapply Rpower_same;
              [once typeclasses eauto | once typeclasses eauto | close ()])
        | |- context [exp ?b] =>
            same (exp b) ltac:(symmetry; eapply Rpower_exp; [once typeclasses eauto | close ()])
        end
    | Rmax _ _ =>
        match goal with |- context [Rmax ?b ?d] =>
          same (Rmax b d) ltac:(first [ apply f_equal2; close ()
                                      | rewrite Rmax_comm; apply f_equal2; close () ]) end
    | Rmin _ _ =>
        match goal with |- context [Rmin ?b ?d] =>
          same (Rmin b d) ltac:(first [ apply f_equal2; close ()
                                      | rewrite Rmin_comm; apply f_equal2; close () ]) end
    | ?f _ =>
        match goal with |- context [f ?b] => same (f b) ltac:(apply f_equal; close ()) end
    end.

(** [A] becomes a variable, of which what is known of [A] is kept. *)
Ltac midpo_hide A :=
  lazymatch A with
  | exp ?a => pose proof (exp_pos a)
  | Rpower ?b ?r =>
      assert (0 < Rpower b r) by apply exp_pos;
      try (assert (Rpower b r < 1) by midpo_below_one)
  | Rmax ?a ?b => pose proof (Rmax_cases a b)
  | Rmin ?a ?b => pose proof (Rmin_cases a b)
  | Rabs ?a => pose proof (Rabs_cases a)
  | step ?a => pose proof (step_cases a)
  | _ => idtac
  end;
  let x := fresh "value" in
  set (x := A) in *; clearbody x.

Ltac midpo_has_sum A :=
  lazymatch A with context [sumn _ _] => idtac | context [@suml _ _ _] => idtac end.

(** Functions, those of [what], become variables from the innermost out, equal ones the same. *)
Ltac midpo_abstract what close :=
  let hide inner A := (inner A; what A; midpo_twins A close; midpo_hide A) in
  let one inner :=
    match goal with
    | |- context [Rpower ?a ?b] => hide inner (Rpower a b)
    | |- context [exp ?a] => hide inner (exp a)
    | |- context [Rmax ?a ?b] => hide inner (Rmax a b)
    | |- context [Rmin ?a ?b] => hide inner (Rmin a b)
    | |- context [Rabs ?a] => hide inner (Rabs a)
    | |- context [step ?a] => hide inner (step a)
    | |- context [tanh ?a] => hide inner (tanh a)
    | |- context [sigmoid ?a] => hide inner (sigmoid a)
    | |- context [ln ?a] => midpo_is_sum a; hide inner (ln a)
    end in
  repeat first [one midpo_innermost | one ltac:(fun A => idtac)].

(** Case by case, where maxima and steps are left. *)
Ltac midpo_cases :=
  progress repeat match goal with
  | H : (_ = _ /\ _) \/ (_ = _ /\ _) |- _ => destruct H as [[? ?] | [? ?]]
  end;
  subst; first [ solve [midpo_field] | lra | nra ].

(** [fuel] bounds how many ranges are taken apart, one inside or after another. A product of two
    sums leaves one of them in the rest, so that what is equal as it stands is not taken apart. *)
Ltac midpo_sums fuel :=
  let split S more :=
    first
      [ eapply (lin_split S);
        [ midpo_lin | midpo_lin
        | intro; cbv beta; midpo_logistic; midpo_logs; midpo_sums more
        | midpo_sums more ]
      | lazymatch type of S with
        | (nat -> R) -> R =>
            eapply (lin_split_shift S) with (t0 := O);
            [ midpo_lin | midpo_lin
            | intro; cbv beta; midpo_logs; midpo_sums more
            | cbv beta; rewrite ?sumn_const; midpo_logs; midpo_sums more ]
        end ] in
  lazymatch fuel with
  | O => fail
  | S ?more =>
      let close _ := (midpo_logs; midpo_sums more) in
      lazymatch goal with
      | |- context [sumn ?n _] =>
          first [solve [ring] | midpo_abstract midpo_has_sum close; split (sumn n) more]
      | |- context [@suml ?A ?l _] =>
          first [solve [ring] | midpo_abstract midpo_has_sum close; split (@suml A l) more]
      | |- _ =>
          midpo_counts;
          first [ solve [midpo_field]
                | progress (midpo_abstract ltac:(fun A => idtac) close);
                  first [solve [midpo_field] | midpo_cases] ]
      end
  end.

Ltac midpo :=
  intros; autounfold with midpo; cbv beta iota; rewrite ?sumn_const;
  midpo_logistic; midpo_logs; midpo_powers; midpo_sums 12%nat.

(** With divergences and entropies as sums over the vocabulary. *)
Ltac midpo_written_out :=
  intros; autounfold with midpo midpo_divergence; cbv beta iota; rewrite ?sumn_const;
  midpo_logs; midpo_powers; midpo_sums 12%nat.

(* ------------------------------------------------------------------ *)
(** * 6. Margin, loss, Bradley-Terry *)

(** Margin of the generalised preference loss: policy and prior values of the chosen (w)
    and of the rejected (l) response.                                              *)
Definition margin (alpha piw zw pil zl : R) : R :=
  alpha * ln (piw / zw) - alpha * ln (pil / zl).
#[export] Hint Unfold margin : midpo.

(** J = - E log sigmoid(margin).  [E] is ANY operator on functions of the data. *)
Definition loss {D : Type} (E : (D -> R) -> R) (m : D -> R) : R :=
  - E (fun d => logsigmoid (m d)).

Theorem loss_eq {D} (E : (D -> R) -> R) (m m' : D -> R) :
  (forall d, m d = m' d) -> loss E m = loss E m'.
Proof. intro H. unfold loss. now rewrite (functional_extensionality m m' H). Qed.

Theorem operator_eq {D} (E : (D -> R) -> R) (f g : D -> R) :
  (forall d, f d = g d) -> E f = E g.
Proof. intro H. now rewrite (functional_extensionality f g H). Qed.

(** The same when margins agree only on the support of the data. *)
Theorem loss_eq_on {D} (S : D -> Prop) (E : (D -> R) -> R) (m m' : D -> R) :
  (forall f g, (forall d, S d -> f d = g d) -> E f = E g) ->
  (forall d, S d -> m d = m' d) -> loss E m = loss E m'.
Proof.
  intros HE H. unfold loss. f_equal. apply HE. intros d Hd. now rewrite H.
Qed.

(** A constant factor of the prior (its normaliser) never matters. *)
Theorem margin_scale alpha piw zw pil zl Z :
  0 < piw -> 0 < zw -> 0 < pil -> 0 < zl -> 0 < Z ->
  margin alpha piw (zw / Z) pil (zl / Z) = margin alpha piw zw pil zl.
Proof. midpo. Qed.

Theorem bradley_terry r1 r2 :
  exp r1 / (exp r1 + exp r2) = sigmoid (r1 - r2).
Proof.
  unfold sigmoid. replace (- (r1 - r2)) with (r2 + - r1) by ring.
  rewrite exp_plus, exp_Ropp.
  pose proof (exp_pos r1). pose proof (exp_pos r2).
  field. repeat split; lra.
Qed.

(** The normaliser cancels in the Bradley-Terry probability. *)
Theorem bradley_terry_Z b Z p1 z1 p2 z2 r1 r2 :
  r1 = / b * ln (p1 / z1) + / b * ln Z ->
  r2 = / b * ln (p2 / z2) + / b * ln Z ->
  exp r1 / (exp r1 + exp r2) = sigmoid (/ b * ln (p1 / z1) - / b * ln (p2 / z2)).
Proof. intros -> ->. rewrite bradley_terry. f_equal. ring. Qed.

(** Losses of a pair: by their logarithms as they stand, or by equality of their exponentials,
    with the powers of products taken apart. *)
Class PowOf (c e r : R) : Prop := pow_of : exp (c * e) = r.

#[export] Instance PowOf_plus c a b ra rb : PowOf c a ra -> PowOf c b rb -> PowOf c (a + b) (ra * rb).
Proof. intros <- <-. red. now rewrite Rmult_plus_distr_l, exp_plus. Qed.
#[export] Instance PowOf_opp c a ra : PowOf c a ra -> PowOf c (- a) (/ ra).
Proof. intros <-. red. now rewrite Ropp_mult_distr_r_reverse, exp_Ropp. Qed.
#[export] Instance PowOf_minus c a b ra rb : PowOf c a ra -> PowOf c b rb -> PowOf c (a - b) (ra / rb).
Proof. intros. unfold Rminus, Rdiv. now apply PowOf_plus, PowOf_opp. Qed.
Lemma PowOf_mul c k a r : PowOf (c * k) a r -> PowOf c (k * a) r.
Proof. intros <-. red. now rewrite Rmult_assoc. Qed.
#[export] Hint Extern 1 (PowOf _ (_ * ?a) _) =>
  lazymatch a with context [ln _] => apply PowOf_mul end : typeclass_instances.
#[export] Instance PowOf_ln c p : PowOf c (ln p) (Rpower p c).
Proof. reflexivity. Qed.
#[export] Instance PowOf_exp c e : PowOf c e (exp (c * e)) | 100.
Proof. reflexivity. Qed.

Lemma exp_of e r : PowOf 1 e r -> exp e = r.
Proof. intros <-. f_equal. ring. Qed.
Lemma Rpower_of b r lb e : LogOf b lb -> PowOf r lb e -> Rpower b r = e.
Proof. intros [_ <-] <-. reflexivity. Qed.

Ltac midpo_powers_apart :=
  repeat match goal with
  | |- context [exp ?e] =>
      lazymatch e with context [ln _] => idtac end;
      erewrite (exp_of e) by (once typeclasses eauto)
  | |- context [Rpower ?b ?r] =>
      lazymatch b with ?c * ?d => idtac | ?c / ?d => idtac end;
      erewrite (Rpower_of b r) by (once typeclasses eauto)
  | |- context [Rpower ?b ?r] =>
      replace r with 1 by ring; rewrite (Rpower_1 b) by midpo_positive
  end.

Ltac midpo_losses tactic :=
  let exponentials := (apply exp_inv; midpo_powers_apart; solve [midpo_sums 3%nat]) in
  intros; autounfold with midpo midpo_loss; cbv beta iota;
  first
    [ reflexivity
    | unfold logsigmoid, sigmoid, margin; midpo_logs;
      lazymatch goal with
      | |- context [ln (Rpower _ _ + _)] => exponentials
      | |- _ => first [solve [tactic] | exponentials]
      end ].

Lemma sigmoid_pos m : 0 < sigmoid m.
Proof. unfold sigmoid. apply Rinv_0_lt_compat. pose proof (exp_pos (- m)). lra. Qed.
#[export] Hint Resolve sigmoid_pos : midpo_pos.

(** sigmoid is injective: equal losses at one pair force equal margins. *)
Lemma sigmoid_inj m m' : sigmoid m = sigmoid m' -> m = m'.
Proof.
  unfold sigmoid. intro H. apply (f_equal Rinv) in H.
  pose proof (exp_pos (- m)). pose proof (exp_pos (- m')).
  rewrite !Rinv_inv in H.
  assert (E : exp (- m) = exp (- m')) by lra.
  apply exp_inv in E. lra.
Qed.

Theorem logsigmoid_inj m m' : logsigmoid m = logsigmoid m' -> m = m'.
Proof.
  intro H. apply sigmoid_inj. unfold logsigmoid in H.
  apply ln_inv in H; auto using sigmoid_pos.
Qed.
